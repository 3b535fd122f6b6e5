//! Options that many commands share: dry-run, output, validation, timeouts.

use super::mistake;
use crate::deploy::gotemplate;
use crate::deploy::kubectl::flags::{Parsed, go_bool, go_duration};
use crate::deploy::kubectl::print::logged;
use crate::deploy::kubectl::{DryRun, Files, Output, Usage, Validate};

/// `--dry-run`; deprecated spellings add kubectl's note.
pub fn dry_run(flags: &Parsed, notes: &mut Vec<String>) -> Result<DryRun, Usage> {
    let mut deprecated = |line: u16, written: &str, instead: &str| {
        let how = if written == "--dry-run" { "" } else { " (boolean value)" };
        let text =
            format!("{written} is deprecated{how} and can be replaced with --dry-run={instead}.");
        notes.push(logged('W', &format!("helpers.go:{line}"), &text));
    };
    match flags.text("dry-run") {
        None | Some("none") => Ok(DryRun::None),
        Some("client") => Ok(DryRun::Client),
        Some("server") => Ok(DryRun::Server),
        Some("unchanged") => {
            deprecated(719, "--dry-run", "client");
            Ok(DryRun::Client)
        }
        Some(value) => match go_bool(value) {
            Some(true) => {
                deprecated(733, &format!("--dry-run={value}"), "client");
                Ok(DryRun::Client)
            }
            Some(false) => {
                deprecated(736, &format!("--dry-run={value}"), "none");
                Ok(DryRun::None)
            }
            None => Err(mistake(format!(
                "Invalid dry-run value ({value}). Must be \"none\", \"server\", or \"client\"."
            ))),
        },
    }
}

/// `--cascade`, as the server calls it; the truth values of old add kubectl's note.
pub fn cascade(flags: &Parsed, notes: &mut Vec<String>) -> Result<String, Usage> {
    let mut deprecated = |value: &str, instead: &str| {
        notes.push(format!(
            "warning: --cascade={value} is deprecated (boolean value) and can be replaced with \
             --cascade={instead}.\n"
        ));
    };
    let propagation = match flags.text("cascade").unwrap_or("background") {
        "background" => "Background",
        "foreground" => "Foreground",
        "orphan" => "Orphan",
        other => match go_bool(other) {
            Some(true) => {
                deprecated(other, "background");
                "Background"
            }
            Some(false) => {
                deprecated(other, "orphan");
                "Orphan"
            }
            None => {
                return Err(mistake(format!(
                    "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \
                     \"orphan\""
                )));
            }
        },
    };
    Ok(propagation.to_owned())
}

/// `--validate`.
pub fn validate(flags: &Parsed) -> Result<Validate, Usage> {
    match flags.text("validate").unwrap_or("strict") {
        "strict" => Ok(Validate::Strict),
        "warn" => Ok(Validate::Warn),
        "ignore" => Ok(Validate::Ignore),
        value => match go_bool(value) {
            Some(true) => Ok(Validate::Strict),
            Some(false) => Ok(Validate::Ignore),
            None => Err(mistake(format!(
                "invalid - validate option \"{value}\"; must be one of: strict (or true), warn, \
                 ignore (or false)"
            ))),
        },
    }
}

/// `-o`. `table` is true for `get`, which prints tables too.
pub fn output(flags: &Parsed, table: bool) -> Result<Output, Usage> {
    output_of(flags, table, None)
}

/// `-o` where a template may stand in a file.
pub fn output_of(flags: &Parsed, table: bool, files: Option<&dyn Files>) -> Result<Output, Usage> {
    let written = flags.text("output").unwrap_or_default();
    let (format, argument) = written
        .split_once('=')
        .map_or((written, None), |(format, argument)| (format, Some(argument)));
    let flag = flags.text("template").filter(|template| !template.is_empty());
    let template = argument.or(flag).unwrap_or_default();
    match format {
        "json" | "yaml" | "kyaml" | "name" | "wide" if argument.is_some() => {
            Err(no_printer(written, table))
        }
        "" if flag.is_some() => go_template(template.to_owned()),
        "" => Ok(Output::Default),
        "wide" if table => Ok(Output::Wide),
        "name" => Ok(Output::Name),
        "json" => Ok(Output::Json),
        "yaml" => Ok(Output::Yaml),
        "jsonpath" | "jsonpath-as-json" | "go-template" | "template" | "go-template-file"
        | "templatefile" | "jsonpath-file"
            if template.is_empty() =>
        {
            Err(mistake("template format specified but no template given"))
        }
        "jsonpath" => Ok(Output::JsonPath(template.to_owned())),
        "jsonpath-as-json" => Ok(Output::JsonPathAsJson(template.to_owned())),
        "jsonpath-file" if files.is_some() => {
            Ok(Output::JsonPath(template_file(files, template, "--template ")?))
        }
        "custom-columns-file" if files.is_some() && !template.is_empty() => {
            columns_of(&template_file(files, template, "template ")?)
        }
        "custom-columns" | "custom-columns-file" if table && template.is_empty() => {
            Err(mistake("custom-columns format specified but no custom columns given"))
        }
        "custom-columns" if table => Ok(Output::CustomColumns(template.to_owned())),
        "go-template" | "template" => go_template(template.to_owned()),
        "go-template-file" | "templatefile" if files.is_some() => {
            go_template(template_file(files, template, "--template ")?)
        }
        "go-template-file" | "templatefile" | "jsonpath-file" | "custom-columns-file" | "kyaml" => {
            Err(mistake(format!(
                "dyno's kubectl does not print \"{format}\"; use json, yaml, name, wide, jsonpath, \
             go-template or custom-columns"
            )))
        }
        _ => Err(no_printer(written, table)),
    }
}

fn no_printer(format: &str, table: bool) -> Usage {
    let columns = if table { "custom-columns,custom-columns-file," } else { "" };
    let wide = if table { ",wide" } else { "" };
    mistake(format!(
        "unable to match a printer suitable for the output format \"{format}\", allowed formats \
         are: {columns}go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,\
         kyaml,name,template,templatefile{wide},yaml"
    ))
}

/// A mistake in a template is told before any server is asked.
fn go_template(template: String) -> Result<Output, Usage> {
    gotemplate::check(&template).map_err(mistake)?;
    Ok(Output::GoTemplate(template))
}

/// A header line, and a line of paths.
fn columns_of(text: &str) -> Result<Output, Usage> {
    let lacks = |line: &str| {
        mistake(format!(
            "invalid template, missing {line} line. Expected format is one line of space separated \
             headers, one line of space separated column specs."
        ))
    };
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let names = lines.next().ok_or_else(|| lacks("header"))?;
    let paths = lines.next().ok_or_else(|| lacks("spec"))?;
    if names.len() != paths.len() {
        return Err(mistake(format!(
            "number of headers ({}) and field specifications ({}) don't match",
            names.len(),
            paths.len()
        )));
    }
    let columns: Vec<String> =
        names.iter().zip(paths).map(|(name, path)| format!("{name}:{path}")).collect();
    Ok(Output::CustomColumns(columns.join(",")))
}

fn template_file(files: Option<&dyn Files>, path: &str, what: &str) -> Result<String, Usage> {
    let read = files.map(|files| files.read(std::path::Path::new(path)));
    match read {
        Some(Ok(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Some(Err(error)) => Err(mistake(format!(
            "error reading {what}{path}, open {path}: {}",
            super::go_error(&error)
        ))),
        None => Err(mistake("no file is read here")),
    }
}

/// `--request-timeout` in milliseconds: `30` is seconds.
pub fn request_timeout(flags: &Parsed) -> Result<u64, Usage> {
    let Some(text) = flags.text("request-timeout") else { return Ok(0) };
    let millis = match text.parse::<i64>() {
        Ok(seconds) => seconds.checked_mul(1000),
        Err(_) => go_duration(text),
    };
    millis.and_then(|millis| u64::try_from(millis).ok()).ok_or_else(|| {
        mistake(
            "Invalid timeout value. Timeout must be a single integer in seconds, or an integer \
             followed by a corresponding time unit (e.g. 1s | 2m | 3h)",
        )
    })
}
