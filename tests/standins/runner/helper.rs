//! The `gitlab-runner` that scripts call inside an environment: artifacts up and down.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

type Answer = Result<(), String>;

/// Answers `gitlab-runner …`; the exit code.
pub fn answer(arguments: &[String]) -> u8 {
    let (command, rest) = arguments.split_first().map_or(("", &[][..]), |(c, r)| (c.as_str(), r));
    let done = match command {
        "--version" => {
            println!("Version:      19.3.0\nGit revision: stand-in");
            Ok(())
        }
        "artifacts-uploader" => upload(rest),
        "artifacts-downloader" => download(rest),
        _ => Err(format!("unknown command `{command}`")),
    };
    match done {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("FATAL: {why}");
            1
        }
    }
}

fn option<'a>(arguments: &'a [String], name: &str) -> &'a str {
    let at = arguments.iter().position(|argument| argument == name);
    at.and_then(|at| arguments.get(at + 1)).map_or("", String::as_str)
}

fn upload(arguments: &[String]) -> Answer {
    let paths: Vec<&String> = arguments
        .windows(2)
        .filter_map(|pair| match pair {
            [flag, path] if flag == "--path" => Some(path),
            _ => None,
        })
        .collect();
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        collect(Path::new(path), &mut files);
        match files.len() - before {
            0 => eprintln!(
                "WARNING: {path}: no matching files. Ensure that the artifact path is relative to the working directory"
            ),
            n => eprintln!("{path}: found {n} matching artifact files and directories"),
        }
    }
    if files.is_empty() {
        eprintln!("ERROR: No files to upload");
        return Ok(());
    }
    let (format, kind) =
        (option(arguments, "--artifact-format"), option(arguments, "--artifact-type"));
    let name = match option(arguments, "--name") {
        "" => "artifacts",
        name => name,
    };
    let (bytes, suffix) = match format {
        "gzip" => (gzip(&files)?, "gz"),
        _ => (zip_of(&files)?, "zip"),
    };
    let mut body = format!(
        "--stand-in\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}.{suffix}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend(bytes);
    body.extend(b"\r\n--stand-in--\r\n");
    let path = format!(
        "/api/v4/jobs/{}/artifacts?artifact_format={format}&artifact_type={kind}",
        option(arguments, "--id")
    );
    let (status, _) = request(arguments, "POST", &path, &body)?;
    match status {
        201 => {
            eprintln!("Uploading artifacts as \"{kind}\" to coordinator... 201 Created");
            Ok(())
        }
        status => Err(format!("upload failed: the coordinator answered {status}")),
    }
}

fn download(arguments: &[String]) -> Answer {
    let path = format!("/api/v4/jobs/{}/artifacts?direct_download=true", option(arguments, "--id"));
    let (status, body) = request(arguments, "GET", &path, &[])?;
    if status != 200 {
        return Err(format!("download failed: the coordinator answered {status}"));
    }
    let archive = zip::ZipArchive::new(std::io::Cursor::new(body));
    archive.and_then(|mut archive| archive.extract(".")).map_err(|error| error.to_string())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            collect(&entry.path(), files);
        }
    } else if path.exists() {
        files.push(path.to_owned());
    }
}

fn gzip(files: &[PathBuf]) -> Result<Vec<u8>, String> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for file in files {
        let text = std::fs::read(file).map_err(|error| error.to_string())?;
        encoder.write_all(&text).map_err(|error| error.to_string())?;
    }
    encoder.finish().map_err(|error| error.to_string())
}

fn zip_of(files: &[PathBuf]) -> Result<Vec<u8>, String> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for file in files {
        let text = std::fs::read(file).map_err(|error| error.to_string())?;
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file_from_path(file, options).map_err(|error| error.to_string())?;
        archive.write_all(&text).map_err(|error| error.to_string())?;
    }
    Ok(archive.finish().map_err(|error| error.to_string())?.into_inner())
}

/// One request to the coordinator, `http` only.
fn request(
    arguments: &[String],
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<(u16, Vec<u8>), String> {
    let url = option(arguments, "--url");
    let host =
        url.strip_prefix("http://").ok_or(format!("not an http URL: {url}"))?.trim_end_matches('/');
    let told = |error: std::io::Error| format!("{host}: {error}");
    let mut stream = TcpStream::connect(host).map_err(told)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nJOB-TOKEN: {}\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=stand-in\r\nContent-Length: {}\r\n\r\n",
        option(arguments, "--token"),
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).map_err(told)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(told)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no answer")?;
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
    Ok((status, answer.split_off(end + 4)))
}
