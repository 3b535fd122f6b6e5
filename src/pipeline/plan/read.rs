//! From the merged file to the plan: stages, workflow, jobs, and that names point somewhere.

use crate::pipeline::file::Merged;
use crate::pipeline::plan::job::{self, Around};
use crate::pipeline::plan::reader::Reader;
use crate::pipeline::plan::{Job, Plan, Setting, parts, rules};
use crate::pipeline::response::Variable;
use crate::pipeline::yaml::{Entry, Node, Remark, Value};

/// Makes the plan; every mistake at once.
pub fn read(merged: &Merged, setting: &Setting) -> Result<Plan, Vec<Remark>> {
    let mut reader = Reader { warnings: merged.warnings.clone(), ..Reader::default() };
    let stages = stages(&mut reader, &merged.root);
    let mut global = match merged.root.get("variables") {
        Some(node) => parts::variables(&mut reader, node),
        None => Vec::new(),
    };
    workflow(&mut reader, &merged.root, &mut global, setting);
    let around = Around { setting, global: &global, stages: &stages };
    let (mut jobs, mut left_out) = (Vec::new(), Vec::new());
    for entry in &merged.jobs {
        match job::read(&mut reader, entry, &around) {
            Some(job) => jobs.extend(copies(&mut reader, entry, job)),
            None => left_out.push(entry.key.clone()),
        }
    }
    jobs.sort_by_key(|job| job.stage_index);
    check_names(&mut reader, merged, &mut jobs, &left_out);
    if !reader.wrong.is_empty() {
        return Err(reader.wrong);
    }
    let mut warnings = reader.warnings;
    warnings.dedup();
    Ok(Plan { stages, jobs, left_out, warnings })
}

fn stages(reader: &mut Reader, root: &Node) -> Vec<String> {
    let given = root.get("stages").or_else(|| root.get("types"));
    let own = match given {
        Some(node) => reader.texts(node, "`stages:`"),
        None => ["build", "test", "deploy"].map(str::to_owned).to_vec(),
    };
    let mut stages = vec![".pre".to_owned()];
    stages.extend(own.into_iter().filter(|stage| stage != ".pre" && stage != ".post"));
    stages.push(".post".to_owned());
    stages
}

/// `workflow: rules:`: may add variables, or leave no pipeline at all.
fn workflow(reader: &mut Reader, root: &Node, global: &mut Vec<Variable>, setting: &Setting) {
    let Some(rules) = root.get("workflow").and_then(|workflow| workflow.get("rules")) else {
        return;
    };
    let in_force = [&setting.predefined[..], global, &setting.project].concat();
    let before = reader.wrong.len();
    match rules::decide(reader, rules, &in_force, &setting.folder) {
        Some(decision) => job::merge(global, decision.variables),
        None if reader.wrong.len() == before => {
            let text = "`workflow: rules:` leave no pipeline; set what they ask for with --variable, \
                        --ref or --source";
            reader.wrong(&rules.place, text);
        }
        None => (),
    }
}

/// `parallel:`: the job several times, by number or by matrix.
fn copies(reader: &mut Reader, entry: &Entry, job: Job) -> Vec<Job> {
    let Some(parallel) = entry.node.get("parallel") else { return vec![job] };
    let sets: Vec<Vec<Variable>> = if let Some(matrix) = parallel.get("matrix") {
        combinations(reader, matrix)
    } else {
        let total: usize = reader.number(parallel, "`parallel:`");
        vec![Vec::new(); total.clamp(1, 200)]
    };
    let total = sets.len();
    let is_matrix = parallel.get("matrix").is_some();
    let copy = |(at, set): (usize, Vec<Variable>)| {
        let mut job = job.clone();
        job.name = if is_matrix {
            let values: Vec<&str> = set.iter().map(|variable| variable.value.as_str()).collect();
            format!("{}: [{}]", job.name, values.join(", "))
        } else {
            format!("{} {}/{total}", job.name, at + 1)
        };
        job::merge(&mut job.variables, set);
        let numbers = [("CI_NODE_INDEX", at + 1), ("CI_NODE_TOTAL", total)];
        let numbers = numbers.map(|(key, number)| Variable::public(key, number.to_string()));
        job::merge(&mut job.variables, numbers.to_vec());
        job
    };
    sets.into_iter().enumerate().map(copy).collect()
}

fn combinations(reader: &mut Reader, matrix: &Node) -> Vec<Vec<Variable>> {
    let Value::List(items) = &matrix.value else {
        reader.wrong(&matrix.place, "`matrix:` must be a list of maps");
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in items {
        let mut sets: Vec<Vec<Variable>> = vec![Vec::new()];
        for entry in item.entries() {
            let values = reader.texts(&entry.node, &format!("`matrix: {}:`", entry.key));
            sets = sets
                .iter()
                .flat_map(|set| {
                    values.iter().map(|value| {
                        let mut set = set.clone();
                        set.push(Variable::public(entry.key.clone(), value.clone()));
                        set
                    })
                })
                .collect();
        }
        out.extend(sets);
    }
    if out.len() > 200 {
        reader.wrong(&matrix.place, format!("`matrix:` makes {} jobs, at most 200", out.len()));
        out.clear();
    }
    out
}

/// `needs:` and `dependencies:` must name jobs; a name of a parallel job means all its copies.
fn check_names(reader: &mut Reader, merged: &Merged, jobs: &mut [Job], left_out: &[String]) {
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let stages: Vec<usize> = jobs.iter().map(|job| job.stage_index).collect();
    let copies_of = |name: &str| -> Vec<String> {
        let is_copy = |other: &&String| {
            *other == name
                || other.strip_prefix(name).is_some_and(|rest| {
                    rest.starts_with(": [") || rest.starts_with(' ') && rest.contains('/')
                })
        };
        names.iter().filter(is_copy).cloned().collect()
    };
    for job in jobs.iter_mut() {
        let base = |entry: &&Entry| {
            entry.key == job.name
                || job
                    .name
                    .strip_prefix(&entry.key)
                    .is_some_and(|rest| rest.starts_with(": [") || rest.starts_with(' '))
        };
        let Some(entry) = merged.jobs.iter().find(base) else { continue };
        if let Some(needs) = &mut job.needs {
            let mut found = Vec::new();
            for need in needs.iter() {
                let copies = copies_of(&need.job);
                let node = entry.node.get("needs").unwrap_or(&entry.node);
                let optional = is_optional(node, &need.job);
                if copies.is_empty() && !optional {
                    let why = if left_out.contains(&need.job) {
                        "which its rules leave out of this pipeline"
                    } else {
                        "which is not there"
                    };
                    let text = format!("job `{}` needs `{}`, {why}", job.name, need.job);
                    reader.wrong(&node.place, text);
                }
                let like = |copy| crate::pipeline::plan::Need { job: copy, ..need.clone() };
                found.extend(copies.into_iter().map(like));
            }
            *needs = found;
            for need in needs.iter() {
                let at = names.iter().position(|name| *name == need.job);
                let later = at.and_then(|at| stages.get(at)).is_some_and(|&s| s > job.stage_index);
                if later {
                    let text = format!("job `{}` needs `{}` of a later stage", job.name, need.job);
                    reader.wrong(&entry.place, text);
                }
            }
        }
        if let Some(dependencies) = &mut job.dependencies {
            *dependencies = dependencies.iter().flat_map(|name| copies_of(name)).collect();
        }
    }
    circles(reader, merged, jobs);
}

fn is_optional(needs: &Node, job: &str) -> bool {
    let Value::List(items) = &needs.value else { return false };
    items.iter().any(|item| {
        item.get("job").and_then(Node::text) == Some(job)
            && item.get("optional").and_then(Node::text) == Some("true")
    })
}

/// `needs:` that wait for each other would never start.
fn circles(reader: &mut Reader, merged: &Merged, jobs: &[Job]) {
    let mut free: Vec<&str> = Vec::new();
    loop {
        let next = jobs.iter().find(|job| {
            !free.contains(&job.name.as_str())
                && job.needs.iter().flatten().all(|need| free.contains(&need.job.as_str()))
        });
        match next {
            Some(job) => free.push(&job.name),
            None => break,
        }
    }
    let stuck: Vec<&str> =
        jobs.iter().map(|job| job.name.as_str()).filter(|name| !free.contains(name)).collect();
    if !stuck.is_empty() && reader.wrong.is_empty() {
        let text = format!("`needs:` go in a circle: {}", stuck.join(", "));
        reader.wrong(&merged.root.place, text);
    }
}
