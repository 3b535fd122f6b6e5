//! A process, written down so that no later one of the same number is taken for it.

use std::fs;

/// Returns a process as text: its number and its start time; `None` when it does not live.
pub fn identity(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(format!("{pid} {}", start_time(&stat)?))
}

/// True while the process that [`identity`] wrote down lives.
pub fn lives(identity_then: &str) -> bool {
    let pid = identity_then.split_whitespace().next().and_then(|pid| pid.parse().ok());
    pid.and_then(identity).is_some_and(|now| now == identity_then.trim())
}

/// The start time of a `/proc/PID/stat` line, whose second field may hold blanks and brackets.
/// A zombie has ended already.
fn start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_program_name() {
        let tail = "S 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 5";
        for name in ["bash", "a) b", "((", ") Z 1 2"] {
            assert_eq!(start_time(&format!("77 ({name}) {tail}")), Some(4242), "{name}");
        }
        assert_eq!(start_time(&format!("77 (bash) {}", tail.replacen('S', "Z", 1))), None);
        assert_eq!(start_time(""), None);
    }

    #[test]
    fn a_later_process_of_the_same_number_is_not_taken_for_the_earlier() {
        let own = identity(std::process::id()).unwrap();
        assert!(lives(&own));
        let (pid, start) = own.split_once(' ').unwrap();
        let earlier = start.parse::<u64>().unwrap() - 1;
        assert!(!lives(&format!("{pid} {earlier}")));
        assert!(!lives(""));
        assert!(!lives("nonsense"));
    }
}
