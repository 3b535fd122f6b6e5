//! Templates, their mistakes, and anything at all.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Missing, render};

fn data() -> Value {
    json!({
        "kind": "List",
        "n": 3, "f": 1.5, "yes": true, "none": null, "empty": "", "b64": "aGk=",
        "map": {"b": 2, "a": "x"},
        "items": [{"name": "one", "port": 80}, {"name": "two", "port": 81}],
    })
}

#[track_caller]
fn check(template: &str, expected: &str) {
    let (out, ended) = render(template, &data(), Missing::Allowed);
    assert_eq!((out.as_str(), ended), (expected, Ok(())), "{template}");
}

#[test]
fn templates_print_what_gos_print() {
    for (template, expected) in [
        ("{{.kind}} {{.nope}} {{.nope.more}} {{.none}}", "List <no value> <no value> <no value>"),
        ("{{range .items}}{{.name}}:{{.port}}\n{{end}}", "one:80\ntwo:81\n"),
        ("{{range $i, $x := .items}}{{$i}}={{$x.name}} {{end}}", "0=one 1=two "),
        ("{{range $k, $v := .map}}{{$k}}={{$v}} {{end}}", "a=x b=2 "),
        ("{{range .nope}}x{{else}}none{{end}}", "none"),
        ("{{range .items}}{{if eq .name \"two\"}}{{break}}{{end}}{{.name}}{{end}}", "one"),
        ("{{range .items}}{{if eq .port 80}}{{continue}}{{end}}{{.name}}{{end}}", "two"),
        ("{{with .map}}{{.a}}{{$.kind}}{{else}}no{{end}}", "xList"),
        ("{{with .nope}}a{{else with .kind}}{{.}}{{end}}", "List"),
        ("{{if and .yes (gt .n 2)}}a{{else if .f}}b{{else}}c{{end}}", "a"),
        ("{{if or .empty .nope}}a{{else}}c{{end}} {{not .empty}}", "c true"),
        ("{{ $x := .n -}}  {{ $x = 4 }}{{ $x }}", "4"),
        ("a  {{- /* gone */ -}}  b", "ab"),
        ("{{.b64 | base64decode}} {{len .items}} {{index .items 1 \"name\"}}", "hi 2 two"),
        ("{{index .map \"nope\"}}|{{slice \"hello\" 1 3}}", "<no value>|el"),
        ("{{.map}} {{.items}}", "map[a:x b:2] [map[name:one port:80] map[name:two port:81]]"),
        (
            "{{printf \"%s-%d-%v-%q|%5s|%-5s|%05d\" .kind .n .f .kind \"a\" \"b\" 7}}",
            "List-3-1.5-\"List\"|    a|b    |00007",
        ),
        (
            "{{printf \"%d\" .kind}}{{printf \"%s\"}}{{printf \"a\" 1}}",
            "%!d(string=List)%!s(MISSING)a%!(EXTRA int=1)",
        ),
        ("{{print 1 2 \"a\" \"b\" 3}}{{println .n \"x\"}}", "1 2ab33 x\n"),
        ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .n}}", "<3>"),
        ("{{block \"b\" .map}}{{.a}}{{end}}", "x"),
        ("{{\"a\\tb\"}}{{`raw\\t`}}{{'a'}}{{0x10}}{{1_000}}{{1e3}}", "a\tbraw\\t971610001000"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{html \"<a>\"}}{{urlquery \"a b\"}}", "&lt;a&gt;a+b"),
        ("{{(index .items 0).name}}{{(len .items)}}", "one2"),
        ("{{exists . \"map\" \"a\"}}{{exists . \"map\" \"z\"}}", "truefalse"),
    ] {
        check(template, expected);
    }
}

#[test]
fn mistakes_are_told_in_gos_words() {
    for (template, error) in [
        (
            "{{.kind.x}}",
            "template: output:1:7: executing \"output\" at <.kind.x>: can't evaluate field x in type interface {}",
        ),
        (
            "{{.none.x}}",
            "template: output:1:7: executing \"output\" at <.none.x>: nil pointer evaluating interface {}.x",
        ),
        (
            "{{index .items 9}}",
            "template: output:1:2: executing \"output\" at <index .items 9>: error calling index: index out of range: 9",
        ),
        (
            "{{eq .n \"a\"}}",
            "template: output:1:2: executing \"output\" at <eq .n \"a\">: error calling eq: incompatible types for comparison: int64 and string",
        ),
        (
            "{{len .n}}",
            "template: output:1:2: executing \"output\" at <len .n>: error calling len: len of type int64",
        ),
        (
            "{{range .kind}}{{end}}",
            "template: output:1:8: executing \"output\" at <.kind>: range can't iterate over List",
        ),
        (
            "{{template \"x\"}}",
            "template: output:1:11: executing \"output\" at <{{template \"x\"}}>: template \"x\" not defined",
        ),
    ] {
        let (out, ended) = render(template, &data(), Missing::Allowed);
        assert_eq!(ended, Err(format!("error executing template {template:?}: {error}")));
        assert!(out.contains("Printing more information"), "{out}");
    }
    for (template, error) in [
        ("{{.x", "template: output:1: unclosed action"),
        ("{{nope}}", "template: output:1: function \"nope\" not defined"),
        ("{{$x}}", "template: output:1: undefined variable \"$x\""),
        ("{{if .x}}", "template: output:1: unexpected EOF"),
        ("{{end}}", "template: output:1: unexpected {{end}}"),
        ("{{range}}{{end}}", "template: output:1: missing value for range"),
        ("{{.x | 3}}", "template: output:1: non executable command in pipeline stage 2"),
        ("{{/* x }}", "template: output:1: unclosed comment"),
        ("{{break}}", "template: output:1: {{break}} outside {{range}}"),
        ("{{\"x}}", "template: output:1: unterminated quoted string"),
    ] {
        let (_, ended) = render(template, &data(), Missing::Allowed);
        assert_eq!(ended, Err(format!("error parsing template {template}, {error}")));
    }
    let (_, ended) = render("{{.nope}}", &data(), Missing::Refused);
    assert!(ended.unwrap_err().ends_with("map has no entry for key \"nope\""));
}

#[test]
fn no_template_goes_on_for_ever() {
    for template in [
        "{{range 9999999999}}{{end}}",
        "{{$x := \"aaaaaaaaaaaaaaaa\"}}{{range 99}}{{$x = print $x $x}}{{end}}",
        "{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}",
        "{{range 99}}{{printf \"%999999d\" 1}}{{end}}",
    ] {
        assert!(render(template, &data(), Missing::Allowed).1.is_err(), "{template}");
    }
    let deep = format!("{}1{}", "{{(".to_owned() + &"(".repeat(5000), ")".repeat(5001) + "}}");
    assert!(render(&deep, &data(), Missing::Allowed).1.is_err());
    let deep = "{{if 1}}".repeat(5000) + &"{{end}}".repeat(5000);
    assert!(render(&deep, &data(), Missing::Allowed).1.is_err());
}

/// Parts that templates are made of, in any order.
const PARTS: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    ".",
    ".items",
    ".n",
    "$",
    "$x",
    ":=",
    "=",
    ",",
    "|",
    "(",
    ")",
    " ",
    "range ",
    "if ",
    "with ",
    "else",
    "else if ",
    "end",
    "break",
    "continue",
    "define \"a\"",
    "template \"a\" ",
    "block \"a\" ",
    "index ",
    "len ",
    "printf ",
    "\"%5.2v\"",
    "eq ",
    "slice ",
    "base64decode ",
    "1",
    "-1",
    "2.5",
    "'c'",
    "nil",
    "true",
    "`r`",
    "/*",
    "*/",
    "\n",
    "text",
    "é",
];

proptest! {
    #[test]
    fn anything_at_all_is_read_without_a_panic(template in ".{0,60}") {
        drop(render(&template, &data(), Missing::Allowed));
    }

    #[test]
    fn parts_in_any_order_are_run_without_a_panic(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..24),
        refused in any::<bool>(),
    ) {
        let missing = if refused { Missing::Refused } else { Missing::Allowed };
        drop(render(&parts.concat(), &data(), missing));
        drop(render(&format!("{{{{{}}}}}", parts.concat()), &data(), missing));
    }
}
