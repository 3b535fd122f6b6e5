//! Servers that lie without end, against the program itself: it ends in time, says what was wrong,
//! and takes no more memory than its bounds, however many users listen.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::standins::speakers::Speaker;
use crate::support::{Lab, dyno};

/// What both processes may take at most, in MiB: 256 for bodies that are read, the rest for
/// themselves and a hundred users' connections.
const MEMORY: u64 = 450;

/// The most memory that a process and its children took so far, in MiB.
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let own = own.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    own.unwrap_or(0) / 1024 + children.map(peak).sum::<u64>()
}

/// Waits for a process; returns its exit code and the most memory that was seen.
fn watch(child: &mut Child, longest: Duration) -> (Option<i32>, u64) {
    let (begun, mut most) = (Instant::now(), 0);
    loop {
        most = most.max(peak(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), most);
        }
        if begun.elapsed() > longest {
            child.kill().unwrap();
            panic!("it still runs after {longest:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Drives a hundred users at a liar for a second; nothing that it does breaks, hangs or fills them.
#[track_caller]
fn check(folder: &Path, (name, server, says): (&str, &Speaker, &str), http: &str) {
    let plan = format!(
        "target: http://127.0.0.1:{}\nhttp: {{ version: {http} }}\n\
         load: {{ users: 100, duration: 1s, timeout: 500ms, threads: 2 }}\n\
         journeys: [{{ steps: [{{ get: /x, save: {{ a: $.a }} }}] }}]\n",
        server.port()
    );
    std::fs::write(folder.join("plan.yaml"), plan).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut child = Command::new(dyno())
        .args(["load", "plan.yaml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let (code, most) = watch(&mut child, Duration::from_mins(1));
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert_eq!(code, Some(99), "{name}:\n{log}");
    assert!(log.contains(says), "{name}: `{says}` is missing:\n{log}");
    assert!(most < MEMORY, "{name}: {most} MiB");
    println!("{name}: {most} MiB at most");
}

fn packed(length: usize) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut to, &vec![b' '; length]).unwrap();
    to.finish().unwrap()
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0, high, low, kind, flags, 0, 0, 0, stream], payload].concat()
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const NONE: Duration = Duration::ZERO;

#[test]
fn a_server_that_lies_without_end_does_not_hang_break_or_fill_the_generator() {
    let lab = Lab::new();
    let large = vec![b' '; 64 * 1024];
    let bomb = packed(64 << 20);
    let head = |more: &str| format!("{OK}{more}\r\n").into_bytes();
    let bombed = head(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len()));
    let chunk = [b"10000\r\n".as_slice(), &large, b"\r\n"].concat();
    let slow = Duration::from_millis(20);
    let cases = [
        (
            "endless headers",
            OK.into(),
            b"x: yyyyyyyyyyyyyyy\r\n".repeat(1000),
            NONE,
            "message head",
        ),
        (
            "a header that never ends",
            format!("{OK}x: ").into(),
            large.clone(),
            NONE,
            "message head",
        ),
        (
            "interim answers for ever",
            b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
            b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100),
            NONE,
            "no answer within 500ms",
        ),
        ("an endless body", head(""), large.clone(), NONE, "every request failed"),
        (
            "endless chunks",
            head("transfer-encoding: chunked\r\n"),
            chunk,
            NONE,
            "every request failed",
        ),
        (
            "a length beyond all memory",
            head("content-length: 999999999999999999\r\n"),
            large,
            NONE,
            "every request failed",
        ),
        (
            "a slow body",
            head("content-length: 99999\r\n"),
            b"x".to_vec(),
            slow,
            "no answer within 500ms",
        ),
        ("a slow head", b"H".to_vec(), b"T".to_vec(), slow, "malformed answer"),
        ("a length that is a lie", head("content-length: 99\r\n"), Vec::new(), NONE, "connection"),
        ("a bomb", [bombed, bomb].concat(), Vec::new(), NONE, "larger than the 8 MiB"),
        ("a reset", Vec::new(), Vec::new(), NONE, "connection reset"),
    ];
    for (name, first, again, pause, says) in cases {
        let server = Speaker::liar(first, again, pause);
        check(lab.folder(), (name, &server, says), "1");
    }
}

#[test]
fn a_server_that_lies_over_http2_does_not_hang_break_or_fill_the_generator() {
    let lab = Lab::new();
    let settings = frame(4, 0, 0, &[]);
    let data = frame(0, 0, 1, &[b' '; 16_000]);
    // One entry of a table, told again and again: small on the wire only.
    let entry = [&[0x40, 1, b'a', 0x7f, 0x81, 0x1e][..], &[b'x'; 4000]].concat();
    let cases = [
        ("headers without end", frame(1, 0, 1, b"\x88"), frame(9, 0, 1, b"\x40\x01x\x01y")),
        ("settings for ever", settings.clone(), frame(4, 0, 0, &[0, 3, 0, 0, 0, 1])),
        ("pings for ever", settings.clone(), frame(6, 0, 0, b"12345678").repeat(100)),
        ("an endless body", frame(1, 4, 1, b"\x88"), data),
        ("a bomb of headers", frame(1, 0, 1, &entry), frame(9, 0, 1, &[0xbe; 4000])),
        ("frames of no kind", settings.clone(), frame(42, 0, 7, &[0; 1000])),
        ("resets for ever", settings.clone(), frame(3, 0, 1, &[0, 0, 0, 2])),
        ("a frame beyond all bounds", [0xff; 64].to_vec(), vec![0xff; 4096]),
    ];
    for (name, first, again) in cases {
        let server = Speaker::liar([settings.clone(), first].concat(), again, NONE);
        check(lab.folder(), (name, &server, "every request failed"), "2");
    }
}
