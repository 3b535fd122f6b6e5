//! Expressions as Argo has them, and what has no value.

use super::*;

fn reckon(text: &str, result: &[f64]) -> Result<Value, String> {
    let expr = Expr::parse(text, &["result", "a", "b"])?;
    expr.value(&|name| match name {
        "a" => Some(Value::Number(6.0)),
        "b" => Some(Value::Number(0.0)),
        _ => Some(Value::List(result.to_vec())),
    })
}

#[test]
fn expressions_come_to_what_argo_says() {
    let (yes, no) = (Value::Truth(true), Value::Truth(false));
    for (text, expected) in [
        ("result[0] >= 0.95", yes.clone()),
        ("result[1] > result[0]", yes.clone()),
        ("len(result) == 2 && result[0] < 2", yes.clone()),
        ("all(result, {# > 0.5})", yes.clone()),
        ("any(result, { # >= 2 })", yes.clone()),
        ("none(result, {# > 9}) and !(len(result) > 5)", yes.clone()),
        ("not (1 < 2) or false", no.clone()),
        ("isNaN(result[0]) || isInf(result[0])", no),
        ("default(result[0], 0) < 2", yes),
        ("1 + 2 * 3 - -4 / 2", Value::Number(9.0)),
        ("(a + 2) / 4", Value::Number(2.0)),
        ("mean(result) + max(result) + min(result) + sum(result)", Value::Number(7.5)),
    ] {
        assert_eq!(reckon(text, &[1.0, 2.0]), Ok(expected), "{text}");
    }
    assert_eq!(reckon("result < 2", &[1.0]), Ok(Value::Truth(true)), "one series is a number");
}

#[test]
fn what_has_no_value_is_an_error() {
    for (text, part) in [
        ("a / b", "division by 0"),
        ("result[7] < 1", "no [7] in a result of 2"),
        ("result < 1", "a result of 2 values"),
        ("result[0] && true", "a number where a condition"),
        ("all(result, {#})", "a number where a condition"),
        ("1e999", "not finite"),
        ("a <", "a value is expected at its end"),
        ("a b", "an operator is expected at `b`"),
        ("c > 1", "`c` is none of result, a, b"),
        ("len()", "`len` takes 1"),
        ("max(result", "`,` is expected"),
        ("# > 1", "`#` outside"),
    ] {
        let error = reckon(text, &[1.0, 2.0]).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(reckon("all(result, {# > 0})", &[]).unwrap_err().contains("an empty result"));
    let deep = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    assert!(reckon(&deep, &[]).unwrap_err().contains("too deep"));
    let long = vec!["a"; 60_000].join(" + ");
    assert!(reckon(&long, &[]).unwrap_err().contains("too long"));
    for chain in [["a"; 60].join(" + "), format!("result{}", "[0]".repeat(60))] {
        assert!(reckon(&chain, &[]).unwrap_err().contains("too deep"), "{chain}");
    }
}
