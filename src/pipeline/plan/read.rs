//! From the merged file to the plan: stages, workflow, jobs, and that names point somewhere.

use crate::pipeline::file::Merged;
use crate::pipeline::plan::job::{self, Around};
use crate::pipeline::plan::parallel::{instances, is_copy};
use crate::pipeline::plan::reader::Reader;
use crate::pipeline::plan::{Job, Plan, Setting, parts, rules};
use crate::pipeline::response::Variable;
use crate::pipeline::yaml::{Node, Remark, Value};

/// Makes the plan; every mistake at once.
pub fn read(merged: &Merged, setting: &Setting) -> Result<Plan, Vec<Remark>> {
    let mut reader = Reader { warnings: merged.warnings.clone(), ..Reader::default() };
    let stages = stages(&mut reader, &merged.root);
    let mut global = match merged.root.get("variables") {
        Some(node) => parts::variables(&mut reader, node),
        None => Vec::new(),
    };
    workflow(&mut reader, &merged.root, &mut global, setting);
    let has_workflow = merged.root.get("workflow").is_some_and(|node| node.get("rules").is_some());
    let around = Around { setting, global: &global, stages: &stages, has_workflow };
    let (mut jobs, mut left_out) = (Vec::new(), Vec::new());
    for entry in &merged.jobs {
        for instance in instances(&mut reader, entry) {
            match job::read(&mut reader, entry, &instance, &around) {
                Some(job) => jobs.push(job),
                None => left_out.push(instance.name),
            }
        }
    }
    jobs.sort_by_key(|job| job.stage_index);
    check_names(&mut reader, merged, &mut jobs, &left_out);
    if !reader.wrong.is_empty() {
        return Err(once_each(reader.wrong));
    }
    Ok(Plan { stages, jobs, left_out, warnings: once_each(reader.warnings) })
}

/// The jobs of one entry have the same to tell, once is enough.
fn once_each(remarks: Vec<Remark>) -> Vec<Remark> {
    let mut out: Vec<Remark> = Vec::with_capacity(remarks.len());
    for remark in remarks {
        if !out.contains(&remark) {
            out.push(remark);
        }
    }
    out
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
    match rules::decide(reader, rules, &in_force, setting) {
        Some(decision) => job::merge(global, decision.variables),
        None if reader.wrong.len() == before => {
            let text = "`workflow: rules:` leave no pipeline; set what they ask for with --variable, \
                        --ref or --source";
            reader.wrong(&rules.place, text);
        }
        None => (),
    }
}

/// `needs:` and `dependencies:` must name jobs; a name of a parallel job means all its copies.
fn check_names(reader: &mut Reader, merged: &Merged, jobs: &mut [Job], left_out: &[String]) {
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let stages: Vec<usize> = jobs.iter().map(|job| job.stage_index).collect();
    let copies_of = |name: &str| -> Vec<String> {
        names.iter().filter(|other| is_copy(other, name)).cloned().collect()
    };
    for job in jobs.iter_mut() {
        let itself = merged.jobs.iter().find(|entry| entry.key == job.name);
        let base = || merged.jobs.iter().find(|entry| is_copy(&job.name, &entry.key));
        let Some(entry) = itself.or_else(base) else { continue };
        if let Some(needs) = &mut job.needs {
            let mut found = Vec::new();
            for need in needs.iter() {
                let copies = copies_of(&need.job);
                let node = entry.node.get("needs").unwrap_or(&entry.node);
                let optional = is_optional(node, &need.job);
                if copies.is_empty() && !optional {
                    let why = if left_out.iter().any(|name| is_copy(name, &need.job)) {
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
