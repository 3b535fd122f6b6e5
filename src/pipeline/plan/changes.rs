//! `changes:` against the files that differ from what was pushed last.

use crate::pipeline::changed::Changed;
use crate::pipeline::plan::reader::Reader;
use crate::pipeline::yaml::Node;

/// True when a changed file matches; where nothing can be compared all do, as in GitLab.
pub fn any(
    reader: &mut Reader,
    node: &Node,
    patterns: &[String],
    changed: Option<&Changed>,
) -> bool {
    let Some(changed) = changed else {
        let text = "`changes:` counts as true: there is no earlier pipeline to compare with";
        reader.warn(&node.place, text);
        return true;
    };
    let found = changed.paths.iter().any(|path| patterns.iter().any(|glob| is_match(glob, path)));
    if !found {
        let text = format!("`changes:` does not hold: compared with {}", changed.base);
        reader.warn(&node.place, text);
    }
    found
}

fn is_match(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
    pattern == path || glob.is_ok_and(|glob| glob.compile_matcher().is_match(path))
}
