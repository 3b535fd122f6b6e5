//! Tables of templates and what kubectl prints for them.

use serde_json::json;

use super::*;

fn data() -> Value {
    json!({
        "kind": "List",
        "items": [
            {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "web"}},
             "status": {"conditions": [{"type": "Ready", "status": "True"}], "n": 1}},
            {"metadata": {"name": "b"},
             "status": {"conditions": [{"type": "Ready", "status": "False"}], "n": 2}},
            {"metadata": {"name": "c"}, "status": {"n": 3}},
        ],
        "map": {"x": 1, "y": "<z>", "on": true, "nothing": null, "float": 1.5},
    })
}

#[test]
fn templates_print_what_kubectl_prints() {
    for (template, printed) in [
        ("{.kind}", "List"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[*].metadata.name}", "a b c"),
        ("{.items[-1].metadata.name}", "c"),
        ("{.items[-1:].metadata.name}", "c"),
        ("{.items[0:2].metadata.name}", "a b"),
        ("{.items[::2].metadata.name}", "a c"),
        ("{.items[0,2].metadata.name}", "a c"),
        ("{.items[*]['metadata.name','status.n']}", "a b c 1 2 3"),
        (
            "{range .items[*]}{.metadata.name}{\"\\t\"}{.status.n}{\"\\n\"}{end}",
            "a\t1\nb\t2\nc\t3\n",
        ),
        (
            "{range .items[*]}{.metadata.name}:{range .status.conditions[*]}{.type}={.status},{end};{end}!",
            "a:Ready=True,;b:Ready=False,;c:;!",
        ),
        ("{.items[?(@.metadata.name==\"b\")].status.n}", "2"),
        ("{.items[?(@.status.n>1)].metadata.name}", "b c"),
        ("{.items[?(@.status.conditions)].metadata.name}", "a b"),
        ("{.items[0].status.conditions[?(@.type=='Ready')].status}", "True"),
        ("{.items[0].metadata.labels.app\\.kubernetes\\.io/name}", "web"),
        ("{.items[0].metadata.labels['app\\.kubernetes\\.io/name']}", "web"),
        ("{..name}", "a b c"),
        (
            "{.map}",
            "{\"float\":1.5,\"nothing\":null,\"on\":true,\"x\":1,\"y\":\"\\u003cz\\u003e\"}",
        ),
        ("{.map.y} {.map.on} {.map.float} {.map.nothing}", "<z> true 1.5 null"),
        ("{.missing}", ""),
        ("{.missing.deeper[0]}", ""),
        ("text only", "text only"),
        ("{'single'}{\"\\u00e9\"}", "singleé"),
        ("{.items[*].status.n}", "1 2 3"),
        ("{$.kind}{@.kind}{kind}", "ListList"),
        ("", ""),
    ] {
        // The last of the `$` row is an identifier, which kubectl refuses.
        if template.contains("{kind}") {
            assert!(
                render(template, &data(), true)
                    .unwrap_err()
                    .contains("unrecognized identifier kind")
            );
            continue;
        }
        assert_eq!(render(template, &data(), true).as_deref(), Ok(printed), "{template}");
    }
}

#[test]
fn mistakes_are_told_in_kubectls_words() {
    for (template, error) in [
        ("{.a", "unclosed action"),
        ("{.a[", "unterminated array"),
        ("{.a[x]}", "invalid array index x"),
        ("{.a[?(@.b", "unterminated filter"),
        ("{\"a}", "unterminated quoted string"),
        ("{....a}", "invalid multiple recursive descent"),
        ("{#}", "unrecognized character in action: U+0023 '#'"),
    ] {
        let error = format!("error parsing jsonpath {template}, {error}");
        assert_eq!(render(template, &data(), true), Err(error));
    }
    for (template, error) in [
        ("{.items[7]}", "array index out of bounds: index 7, length 3"),
        ("{.kind[0]}", "string is not array or slice"),
        ("{end}", "not in range, nothing to end"),
        ("{.items[?(@.status.n==\"x\")]}", "incompatible types for comparison"),
        ("{.map[?(@.x)]}", "is not array or slice and cannot be filtered"),
    ] {
        let told = render(template, &data(), true).unwrap_err();
        assert!(told.contains(error), "{told}");
    }
    assert!(render("{.missing}", &data(), false).unwrap_err().contains("missing is not found"));
}

#[test]
fn relaxed_paths_take_the_full_form() {
    for path in ["metadata.name", ".metadata.name", "{metadata.name}", "{.metadata.name}"] {
        assert_eq!(relaxed(path).as_deref(), Ok("{.metadata.name}"));
    }
    assert!(relaxed("{a}{b}").is_err());
}

/// Parts that templates are made of, in any order.
const PARTS: &[&str] = &[
    "{",
    "}",
    ".",
    "..",
    "*",
    "@",
    "$",
    "[",
    "]",
    "[0]",
    "[-1:]",
    "[0:2]",
    "[::0]",
    "[::-1]",
    "[?(",
    ")]",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    ",",
    ":",
    "range ",
    "end",
    "{range .items[*]}",
    "{end}",
    "{.kind}",
    "metadata",
    "items",
    "'x'",
    "\"x\"",
    "\"",
    "'",
    "\\",
    "\\.",
    "0",
    "-1",
    "9223372036854775808",
    "1.5",
    "true",
    " ",
    "\n",
    "é",
];

proptest::proptest! {
    #[test]
    fn anything_at_all_is_read_without_a_panic(template in ".{0,60}") {
        let _either = render(&template, &data(), true);
        let _either = relaxed(&template);
    }

    #[test]
    fn parts_in_any_order_are_run_without_a_panic(
        parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..24),
        allowed in proptest::prelude::any::<bool>(),
    ) {
        let _either = render(&parts.concat(), &data(), allowed);
        let _either = render(&format!("{{{}}}", parts.concat()), &data(), allowed);
    }

    #[test]
    fn no_template_crashes(template in "[{}.\\[\\]a-c0-2:,?()@=<>\"' *$\\\\-]{0,30}") {
        // Only that it returns is the claim: nested, unbalanced and odd templates are errors.
        let _either = render(&template, &data(), true);
    }
}
