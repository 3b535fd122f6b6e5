//! `kubectl get`, from the command line to the request; and how commands name objects.

use super::{Context, input, mistake, misuse, options};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Get, Named, Operation, Parsed, Selection, Usage, Watch, What};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("output", 'o', Kind::Text),
    short("selector", 'l', Kind::Text),
    short("all-namespaces", 'A', Kind::Bool),
    flag("field-selector", Kind::Text),
    flag("ignore-not-found", Kind::Bool),
    flag("no-headers", Kind::Bool),
    flag("show-labels", Kind::Bool),
    flag("show-kind", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
    short("label-columns", 'L', Kind::List),
    flag("sort-by", Kind::Text),
    flag("chunk-size", Kind::Number),
    flag("server-print", Kind::Bool),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("raw", Kind::Text),
    flag("subresource", Kind::Text),
    flag("output-watch-events", Kind::Bool),
    flag("watch-only", Kind::Bool),
    short("watch", 'w', Kind::Bool),
];

/// Reads `kubectl get …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl get")?;
    if let Some(path) = flags.filled("raw") {
        return raw(&context, &flags, path);
    }
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(Usage(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a \
             complete list of supported resources.\n\n"
                .to_owned()
                + &misuse(
                    "Required resource not specified.\nUse \"kubectl explain <resource>\" for a \
                     detailed description of that resource (e.g. kubectl explain pods).",
                    "kubectl get",
                )
                .0,
        ));
    }
    let output = options::output_of(&flags, true, Some(context.files))?;
    let selection = selection(&mut context, &flags, Bare::AllOfType)?;
    let get = Get {
        single: is_single(&selection, &flags),
        selection,
        output,
        ignore_not_found: flags.is("ignore-not-found", false),
        no_headers: flags.is("no-headers", false),
        show_labels: flags.is("show-labels", false),
        label_columns: flags.list("label-columns").to_vec(),
        show_kind: flags.is("show-kind", false),
        sort_by: flags.filled("sort-by"),
        watch: match (flags.is("watch-only", false), flags.is("watch", false)) {
            (true, _) => Watch::Only,
            (false, true) => Watch::Yes,
            (false, false) => Watch::No,
        },
        watch_events: watch_events(&flags)?,
        subresource: flags.filled("subresource").unwrap_or_default(),
        managed_fields: flags.is("show-managed-fields", false),
        allow_missing: flags.is("allow-missing-template-keys", true),
    };
    context.request(&flags, Vec::new(), Operation::Get(get))
}

fn raw(context: &Context<'_>, flags: &flags::Parsed, path: String) -> Result<Parsed, Usage> {
    if !flags.args.is_empty() {
        return Err(mistake("arguments may not be passed when --raw is specified"));
    }
    let others = ["watch", "watch-only", "selector", "label-columns", "filename", "kustomize"];
    if others.iter().any(|name| flags.has(name)) {
        return Err(mistake(
            "--raw may not be specified with other flags that filter the server request or alter \
             the output",
        ));
    }
    if flags.filled("output").is_some() {
        return Err(mistake("--raw and --output are mutually exclusive"));
    }
    if !path.starts_with('/') {
        return Err(mistake(format!(
            "--raw must be a valid URL path: parse \"{path}\": invalid URI for request"
        )));
    }
    context.request(flags, Vec::new(), Operation::Raw(path))
}

/// True when a command line names exactly one object.
pub fn is_single(selection: &Selection, flags: &flags::Parsed) -> bool {
    match &selection.what {
        What::Names(names) => names.len() == 1,
        What::Types(_) => false,
        What::Files(items) => {
            items.len() == 1 && !flags.list("filename").iter().any(|name| name == "-")
        }
    }
}

/// What a type without a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    /// All objects of the type.
    AllOfType,
    /// A mistake, unless a selector or `--all` is given.
    Mistake,
}

/// Reads which objects a command is about: `-f`, `TYPE`, `TYPE NAME…`, `TYPE/NAME…`.
pub fn selection(
    context: &mut Context<'_>,
    flags: &flags::Parsed,
    bare: Bare,
) -> Result<Selection, Usage> {
    let labels = flags.filled("selector");
    let fields = flags.filled("field-selector");
    let what = if input::is_given(flags) {
        if !flags.args.is_empty() {
            return Err(mistake(
                "when paths, URLs, or stdin is provided as input, you may not specify resource \
                 arguments as well",
            ));
        }
        What::Files(input::read(context, flags, false)?)
    } else {
        what(&flags.args)?
    };
    let selected = labels.is_some() || fields.is_some();
    let all = flags.is("all", false);
    match &what {
        What::Types(types) if types.is_empty() => {
            return Err(mistake(if selected || all {
                "at least one resource must be specified to use a selector"
            } else {
                "required resource not specified"
            }));
        }
        What::Types(_) if bare == Bare::Mistake && !selected && !all => {
            return Err(mistake("resource(s) were provided, but no name was specified"));
        }
        What::Names(_) if selected => {
            return Err(mistake(if flags.args.iter().any(|arg| arg.contains('/')) {
                "selectors and the all flag cannot be used when passing resource/name arguments"
            } else {
                "name cannot be provided when a selector is specified"
            }));
        }
        What::Names(_) if flags.is("all-namespaces", false) => {
            return Err(mistake("a resource cannot be retrieved by name across all namespaces"));
        }
        What::Types(_) | What::Names(_) | What::Files(_) => {}
    }
    Ok(Selection {
        what,
        all_namespaces: flags.is("all-namespaces", false),
        labels,
        fields,
        enforce_namespace: flags.filled("namespace").is_some(),
    })
}

/// Reads `TYPE[,TYPE]`, `TYPE NAME…` or `TYPE/NAME…`.
pub fn what(args: &[String]) -> Result<What, Usage> {
    let mut args = args.to_vec();
    // `get pods/a,pods/b`: several in one argument.
    if args.len() == 1 && args.iter().any(|arg| arg.contains('/') && arg.contains(',')) {
        args = args.iter().flat_map(|arg| arg.split(',').map(str::to_owned)).collect();
    }
    if args.iter().any(|arg| arg.contains('/')) {
        if args.iter().any(|arg| !arg.contains('/')) {
            return Err(mistake(
                "there is no need to specify a resource type as a separate argument when passing \
                 arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' \
                 instead of 'kubectl get resource resource/<resource_name>'",
            ));
        }
        return args.iter().map(|arg| named(arg)).collect::<Result<Vec<_>, _>>().map(What::Names);
    }
    let Some((types, names)) = args.split_first() else { return Ok(What::Types(Vec::new())) };
    let mut types: Vec<String> = types.split(',').map(str::to_owned).collect();
    let mut seen = std::collections::BTreeSet::new();
    types.retain(|word| seen.insert(word.clone()));
    if names.is_empty() {
        return Ok(What::Types(types));
    }
    let pairs = types.iter().flat_map(|resource| {
        names.iter().map(|name| Named { resource: resource.clone(), name: name.clone() })
    });
    Ok(What::Names(pairs.collect()))
}

/// What is not watched has no events.
fn watch_events(flags: &flags::Parsed) -> Result<bool, Usage> {
    let asked = flags.is("output-watch-events", false);
    if asked && !flags.is("watch", false) && !flags.is("watch-only", false) {
        return Err(mistake(
            "--output-watch-events option can only be used with --watch or --watch-only",
        ));
    }
    Ok(asked)
}

fn named(arg: &str) -> Result<Named, Usage> {
    let mut parts = arg.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(_)) => {
            Err(mistake("arguments in resource/name form may not have more than one slash"))
        }
        (Some(resource), Some(name), None)
            if !resource.is_empty() && !name.is_empty() && !resource.contains(',') =>
        {
            Ok(Named { resource: resource.to_owned(), name: name.to_owned() })
        }
        _ => Err(mistake("arguments in resource/name form must have a single resource and name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<What, String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        what(&args).map_err(|usage| usage.0)
    }

    #[test]
    fn objects_are_named_in_every_form() {
        let named = |resource: &str, name: &str| Named {
            resource: resource.to_owned(),
            name: name.to_owned(),
        };
        for (line, expected) in [
            ("pods", What::Types(vec!["pods".to_owned()])),
            ("pods,svc,pods", What::Types(vec!["pods".to_owned(), "svc".to_owned()])),
            ("pods a b", What::Names(vec![named("pods", "a"), named("pods", "b")])),
            ("pods/a svc/b", What::Names(vec![named("pods", "a"), named("svc", "b")])),
            ("pods/a,svc/b", What::Names(vec![named("pods", "a"), named("svc", "b")])),
        ] {
            assert_eq!(read(line), Ok(expected), "{line}");
        }
        assert!(read("pods/").unwrap_err().contains("single resource and name"));
        assert!(read("pods/a/b").unwrap_err().contains("more than one slash"));
        assert!(read("pods/a b").unwrap_err().contains("no need to specify"));
    }
}
