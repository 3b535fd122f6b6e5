//! `parallel:`: the job several times, by number or by matrix.

use crate::pipeline::plan::reader::Reader;
use crate::pipeline::response::Variable;
use crate::pipeline::yaml::{Entry, Node, Value};

/// As many jobs as GitLab makes of one.
const MAX: usize = 200;

/// One of the jobs that an entry makes.
#[derive(Debug)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// What the matrix gives it, then its number.
    pub variables: Vec<Variable>,
}

/// The jobs that an entry makes: itself, where it is not parallel.
pub fn instances(reader: &mut Reader, entry: &Entry) -> Vec<Instance> {
    let Some(parallel) = entry.node.get("parallel") else {
        return vec![Instance { name: entry.key.clone(), variables: Vec::new() }];
    };
    let matrix = parallel.get("matrix");
    let sets: Vec<Vec<Variable>> = match matrix {
        Some(matrix) => combinations(reader, matrix),
        None => vec![Vec::new(); number(reader, parallel)],
    };
    let total = sets.len();
    let instance = |(at, mut variables): (usize, Vec<Variable>)| {
        let name = if matrix.is_some() {
            let values: Vec<&str> = variables.iter().map(|given| given.value.as_str()).collect();
            format!("{}: [{}]", entry.key, values.join(", "))
        } else {
            format!("{} {}/{total}", entry.key, at + 1)
        };
        let numbers = [("CI_NODE_INDEX", at + 1), ("CI_NODE_TOTAL", total)];
        variables.extend(numbers.map(|(key, n)| Variable::public(key, n.to_string())));
        Instance { name, variables }
    };
    sets.into_iter().enumerate().map(instance).collect()
}

/// True when `name` is the entry `base` itself or one of its jobs.
pub fn is_copy(name: &str, base: &str) -> bool {
    name.strip_prefix(base).is_some_and(|rest| {
        rest.is_empty()
            || rest.starts_with(": [")
            || rest.strip_prefix(' ').and_then(|rest| rest.split_once('/')).is_some_and(
                |(at, total)| at.parse::<usize>().is_ok() && total.parse::<usize>().is_ok(),
            )
    })
}

fn number(reader: &mut Reader, node: &Node) -> usize {
    let before = reader.wrong.len();
    let number: usize = reader.number(node, "`parallel:`");
    if reader.wrong.len() > before {
        return 1;
    }
    if !(1..=MAX).contains(&number) {
        let text = format!("`parallel:` is {number}, GitLab allows 1 to {MAX}");
        reader.wrong(&node.place, text);
    }
    number.clamp(1, MAX)
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
            // Factors multiply: too many are refused before they are made.
            if sets.len() * values.len() > MAX {
                let text = format!("`matrix:` makes more than {MAX} jobs, which GitLab refuses");
                reader.wrong(&matrix.place, text);
                return Vec::new();
            }
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
    if out.len() > MAX {
        let text = format!("`matrix:` makes {} jobs, GitLab allows {MAX}", out.len());
        reader.wrong(&matrix.place, text);
        out.clear();
    }
    out
}
