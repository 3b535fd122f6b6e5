//! What no script of a sandbox may ask of the kernel: doors that no namespace closes.
//!
//! The kernel's keyrings are one for all sandboxes of a uid, and the caller's session keyring goes
//! with every process that it starts: jobs could hand each other messages through it. The others are
//! interfaces through which kernels have been broken, and that no pipeline needs.
//!
//! Reference: <https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html>.

/// A kernel interface by its architecture's number in seccomp, with the numbers that are closed:
/// `add_key`, `request_key`, `keyctl`, `bpf`, `perf_event_open`, `userfaultfd`, `io_uring_setup`,
/// `io_uring_enter`, `io_uring_register`.
const CLOSED: [(u32, [u32; 9]); 4] = [
    // `x86_64`, `i386` (which an `x86_64` kernel has beside it), `aarch64`, `arm`.
    (0xc000_003e, [248, 249, 250, 321, 298, 323, 425, 426, 427]),
    (0x4000_0003, [286, 287, 288, 357, 336, 374, 425, 426, 427]),
    (0xc000_00b7, [217, 218, 219, 280, 241, 282, 425, 426, 427]),
    (0x4000_0028, [309, 310, 311, 386, 364, 388, 425, 426, 427]),
];

/// x32's calls are those of `x86_64` with this bit.
const X32: u32 = 0x4000_0000;

const LOAD_NUMBER: (u16, u32) = (0x20, 0);
const LOAD_ARCHITECTURE: (u16, u32) = (0x20, 4);
const IS_EQUAL: u16 = 0x15;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
/// As on a kernel without the call: programs know the way around.
const NO_SUCH_CALL: u32 = 0x0005_0026;

/// The filter as bubblewrap's `--seccomp` reads it.
pub fn filter() -> Vec<u8> {
    let mut program = Program(Vec::new());
    for (architecture, numbers) in CLOSED {
        let n_numbers = u8::try_from(numbers.len()).unwrap_or(u8::MAX);
        program.add(LOAD_ARCHITECTURE.0, 0, 0, LOAD_ARCHITECTURE.1);
        // Another architecture: over the load, the mask, the comparisons and the two ends.
        program.add(IS_EQUAL, 0, n_numbers + 4, architecture);
        program.add(LOAD_NUMBER.0, 0, 0, LOAD_NUMBER.1);
        program.add(AND, 0, 0, !X32);
        for (at, number) in (1..).zip(numbers) {
            // Over the comparisons that are left, and over the end that allows.
            program.add(IS_EQUAL, n_numbers - at + 1, 0, number);
        }
        program.add(RETURN, 0, 0, ALLOW);
        program.add(RETURN, 0, 0, NO_SUCH_CALL);
    }
    program.add(RETURN, 0, 0, ALLOW);
    program.0
}

/// A program of classic BPF.
struct Program(Vec<u8>);

impl Program {
    /// Adds an instruction; the jumps count the instructions that are left out.
    fn add(&mut self, code: u16, if_true: u8, if_false: u8, value: u32) {
        self.0.extend(code.to_ne_bytes());
        self.0.extend([if_true, if_false]);
        self.0.extend(value.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter answers to a call, by classic BPF's own rules.
    fn answer(architecture: u32, number: u32) -> u32 {
        let program = filter();
        let mut at = 0;
        let mut held = 0;
        loop {
            let word = &program[at * 8..at * 8 + 8];
            let value = u32::from_ne_bytes(word[4..].try_into().unwrap());
            at += 1;
            match u16::from_ne_bytes(word[..2].try_into().unwrap()) {
                0x20 => held = if value == 0 { number } else { architecture },
                AND => held &= value,
                IS_EQUAL => at += usize::from(if held == value { word[2] } else { word[3] }),
                RETURN => return value,
                code => panic!("{code:#x}"),
            }
        }
    }

    #[test]
    fn the_keyrings_are_closed_on_every_architecture_and_ordinary_calls_are_not() {
        for (architecture, numbers) in CLOSED {
            for number in numbers {
                assert_eq!(
                    answer(architecture, number),
                    NO_SUCH_CALL,
                    "{architecture:#x} {number}"
                );
            }
            for number in [0, 1, 59, 231, 247, 251, 299, 400, 424, 428, 439] {
                if !numbers.contains(&number) {
                    assert_eq!(answer(architecture, number), ALLOW, "{architecture:#x} {number}");
                }
            }
        }
        assert_eq!(answer(0xc000_003e, 0x4000_00fa), NO_SUCH_CALL);
        assert_eq!(answer(0x1234, 250), ALLOW);
    }
}
