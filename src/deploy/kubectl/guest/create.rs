//! `kubectl create` and `kubectl replace`, from the command line to the request.

use serde_json::{Map, Value, json};

use super::{
    Context, generators, generators_more, input, mistake, misuse, options, secret, token, workloads,
};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::print::{annotate, print_object};
use crate::deploy::kubectl::{
    Create, DryRun, Item, Manifest, Named, Operation, Output, Parsed, Usage, Validate,
};

/// The flags of every `create`.
const SHARED: [Flag; 8] = [
    short("output", 'o', Kind::Text),
    flag("dry-run", Kind::Optional("unchanged")),
    flag("validate", Kind::Optional("strict")),
    flag("save-config", Kind::Bool),
    flag("field-manager", Kind::Text),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// Reads `kubectl create …`.
pub fn parse(context: Context<'_>) -> Result<Parsed, Usage> {
    // The kind is the first word; flags may stand before it. Behind `--` is a container's command.
    let own = || context.argv.iter().take_while(|arg| *arg != "--");
    let words = flags::words(context.argv);
    let kind = words.iter().find_map(|word| match *word {
        "namespace" | "ns" => Some("namespace"),
        "configmap" | "cm" => Some("configmap"),
        "secret" => Some("secret"),
        "serviceaccount" | "sa" => Some("serviceaccount"),
        "deployment" | "deploy" => Some("deployment"),
        "job" => Some("job"),
        "cronjob" | "cj" => Some("cronjob"),
        "service" | "svc" => Some("service"),
        "role" => Some("role"),
        "rolebinding" => Some("rolebinding"),
        "quota" | "resourcequota" => Some("quota"),
        "clusterrole" => Some("clusterrole"),
        "clusterrolebinding" => Some("clusterrolebinding"),
        "ingress" | "ing" => Some("ingress"),
        "poddisruptionbudget" | "pdb" => Some("poddisruptionbudget"),
        "priorityclass" | "pc" => Some("priorityclass"),
        "token" => Some("token"),
        _ => None,
    });
    let from_files = own()
        .any(|arg| arg.starts_with("-f") || arg.starts_with("--filename") || arg.starts_with("-k"));
    match kind {
        Some("namespace") if !from_files => namespace(&context),
        Some("serviceaccount") if !from_files => service_account(&context),
        Some("configmap") if !from_files => secret::config_map(&context),
        Some("secret") if !from_files => secret::parse(&context),
        Some("deployment") if !from_files => workloads::deployment(&context),
        Some("job") if !from_files => workloads::job(&context),
        Some("cronjob") if !from_files => generators::cron_job(&context),
        Some("service") if !from_files => generators::service(&context),
        Some("role") if !from_files => generators::role(&context),
        Some("rolebinding") if !from_files => generators::role_binding(&context),
        Some("quota") if !from_files => generators::quota(&context),
        Some("clusterrole") if !from_files => generators_more::cluster_role(&context),
        Some("clusterrolebinding") if !from_files => {
            generators_more::cluster_role_binding(&context)
        }
        Some("ingress") if !from_files => generators_more::ingress(&context),
        Some("poddisruptionbudget") if !from_files => generators_more::disruption_budget(&context),
        Some("priorityclass") if !from_files => generators_more::priority_class(&context),
        Some("token") if !from_files => token::parse(&context),
        Some(_) | None => files(context, "create"),
    }
}

/// Reads `kubectl replace …`.
pub fn parse_replace(context: Context<'_>) -> Result<Parsed, Usage> {
    files(context, "replace")
}

/// The flags of `create -f`; `replace` has all but the last.
pub const FILES: [Flag; 18] = [
    SHARED[0],
    SHARED[1],
    SHARED[2],
    SHARED[3],
    SHARED[4],
    SHARED[5],
    SHARED[6],
    SHARED[7],
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    flag("force", Kind::Bool),
    flag("grace-period", Kind::Number),
    flag("cascade", Kind::Optional("background")),
    flag("timeout", Kind::Duration),
    flag("wait", Kind::Bool),
    flag("record", Kind::Bool),
];

fn files(mut context: Context<'_>, verb: &str) -> Result<Parsed, Usage> {
    let command = format!("kubectl {verb}");
    let known = FILES.into_iter().filter(|flag| verb == "create" || flag.name != "record");
    let flags = context.flags(&known.collect::<Vec<_>>(), &command)?;
    let common = Common::read(&flags)?;
    if !flags.args.is_empty() {
        return Err(misuse(&format!("Unexpected args: [{}]", flags.args.join(" ")), &command));
    }
    input::require(&flags)?;
    let items = input::read(&mut context, &flags, common.validate != Validate::Ignore)?;
    if items.is_empty() {
        let done = if verb == "create" { "create" } else { "replace" };
        return Err(mistake(format!("no objects passed to {done}")));
    }
    let manager = if verb == "create" { "kubectl-create" } else { "kubectl-replace" };
    let create = Create {
        items,
        from: None,
        enforce_namespace: flags.filled("namespace").is_some(),
        generated: false,
        save_config: flags.is("save-config", false),
        force: flags.is("force", false),
        field_manager: flags.text("field-manager").unwrap_or(manager).to_owned(),
        dry_run: common.dry_run,
        validate: common.validate,
        output: common.output,
    };
    let operation =
        if verb == "create" { Operation::Create(create) } else { Operation::Replace(create) };
    context.request(&flags, common.notes, operation)
}

/// What every `create` shares.
pub struct Common {
    dry_run: DryRun,
    validate: Validate,
    output: Output,
    notes: Vec<String>,
}

impl Common {
    /// Adds a line for standard error.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Reads the shared flags.
    pub fn read(flags: &flags::Parsed) -> Result<Self, Usage> {
        let mut notes = Vec::new();
        let dry_run = options::dry_run(flags, &mut notes)?;
        let output = options::output(flags, false)?;
        Ok(Self { dry_run, validate: options::validate(flags)?, output, notes })
    }
}

/// The shared flags and a command's own.
pub fn with_shared(own: &[Flag]) -> Vec<Flag> {
    SHARED.iter().chain(own).copied().collect()
}

/// The one NAME of a generator.
pub fn name(flags: &flags::Parsed, n_words: usize, command: &str) -> Result<String, Usage> {
    let name = one_name(flags, n_words, command)?;
    if name.is_empty() { Err(mistake("name must be specified")) } else { Ok(name) }
}

/// As [`name`], but maybe empty.
pub fn one_name(flags: &flags::Parsed, n_words: usize, command: &str) -> Result<String, Usage> {
    // What stands behind `--` is a command.
    let n_own = flags.args.len() - flags.n_after_dashes;
    let names = flags.args.get(n_words..n_own).unwrap_or_default();
    match names {
        [name] => Ok(name.clone()),
        _ => Err(misuse(&format!("exactly one NAME is required, got {}", names.len()), command)),
    }
}

/// Ends a generator: prints the object on a client-side dry run, else makes the request.
pub fn finish(
    context: &Context<'_>,
    flags: &flags::Parsed,
    common: Common,
    mut object: Value,
) -> Result<Parsed, Usage> {
    if common.dry_run == DryRun::Client {
        if flags.is("save-config", false) {
            annotate(&mut object, true);
        }
        let stdout =
            print_object(&object, &common.output, "created (dry run)", true).map_err(mistake)?;
        return Ok(Parsed::Local { stdout, stderr: common.notes.concat(), code: 0 });
    }
    request(context, flags, common, (object, None))
}

/// The request of a generator: for its object, with the content of a cron job where one is named.
pub fn request(
    context: &Context<'_>,
    flags: &flags::Parsed,
    common: Common,
    (object, from): (Value, Option<Named>),
) -> Result<Parsed, Usage> {
    let manifest = Manifest { source: String::new(), listed: false, object };
    let create = Create {
        items: vec![Item::Object(manifest)],
        from,
        enforce_namespace: flags.filled("namespace").is_some(),
        generated: true,
        save_config: flags.is("save-config", false),
        force: false,
        field_manager: flags.text("field-manager").unwrap_or("kubectl-create").to_owned(),
        dry_run: common.dry_run,
        validate: common.validate,
        output: common.output,
    };
    context.request(flags, common.notes, Operation::Create(create))
}

/// `metadata` of a generated object: with a namespace only where `-n` was given.
pub fn metadata(flags: &flags::Parsed, name: &str, namespaced: bool) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), Value::String(name.to_owned()));
    if let (true, Some(namespace)) = (namespaced, flags.filled("namespace")) {
        metadata.insert("namespace".to_owned(), Value::String(namespace));
    }
    Value::Object(metadata)
}

fn namespace(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(&with_shared(&[]), "kubectl create namespace")?;
    let common = Common::read(&flags);
    let name = name(&flags, 1, "kubectl create namespace")?;
    let object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata(&flags, &name, false),
        "spec": {},
        "status": {},
    });
    finish(context, &flags, common?, object)
}

fn service_account(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(&with_shared(&[]), "kubectl create serviceaccount")?;
    let common = Common::read(&flags);
    let name = name(&flags, 1, "kubectl create serviceaccount")?;
    let object = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(&flags, &name, true),
    });
    finish(context, &flags, common?, object)
}
