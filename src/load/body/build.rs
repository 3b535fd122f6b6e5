//! From bodies as written to bodies as meant.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::load::body::{Fill, PartFile, UploadFile};
use crate::load::file::StepFile;
use crate::load::plan::{Body, Content, Part};
use crate::load::script::BYTES;
use crate::load::steps::Steps;
use crate::unit::Size;

/// The longest body that is made.
const LARGEST: Size = Size(64 << 30);

impl Steps<'_> {
    /// Returns what a request sends.
    pub fn body(&mut self, key: &str, file: &StepFile) -> Body {
        let bodies = [
            file.json.is_some(),
            !file.form.is_empty(),
            file.body.is_some(),
            file.upload.is_some(),
            !file.multipart.is_empty(),
        ];
        if bodies.iter().filter(|is_there| **is_there).count() > 1 {
            let text = "`json`, `form`, `body`, `upload` and `multipart` exclude each other";
            self.mistakes.add(key, text);
        }
        if let Some(value) = &file.json {
            Body::Json(value.clone())
        } else if let Some(text) = &file.body {
            Body::Text(text.clone())
        } else if !file.form.is_empty() {
            Body::Form(file.form.clone())
        } else if let Some(upload) = &file.upload {
            let content = self.content(&format!("{key}.upload"), upload);
            Body::Upload(content, upload.kind.clone())
        } else if !file.multipart.is_empty() {
            let part = |(name, part): (&String, &PartFile)| {
                (name.clone(), self.part(&format!("{key}.multipart.{name}"), name, part))
            };
            Body::Multipart(file.multipart.iter().map(part).collect())
        } else {
            Body::None
        }
    }

    fn part(&mut self, key: &str, name: &str, part: &PartFile) -> Part {
        let file = match part {
            PartFile::Text(text) => return Part::Text(text.clone()),
            PartFile::File(file) => file,
        };
        let own = file.file.as_deref().and_then(|path| path.rsplit('/').next());
        let called = file.name.as_deref().or(own).unwrap_or(name).to_owned();
        let kind = file.kind.as_deref().unwrap_or(BYTES).to_owned();
        Part::File(called, kind, self.content(key, file))
    }

    /// Returns the bytes that an upload means.
    fn content(&mut self, key: &str, file: &UploadFile) -> Content {
        let is_kind =
            |kind: &String| !kind.is_empty() && !kind.bytes().any(|b| b.is_ascii_control());
        if !file.kind.iter().all(is_kind) {
            self.mistakes.add(format!("{key}.type"), "this is not a content type");
        }
        if file.fill.is_some() && file.size.is_none() {
            self.mistakes.add(format!("{key}.fill"), "it belongs to `size`");
        }
        match (&file.file, file.size) {
            (Some(path), None) => {
                let bytes = self.blobs.get(path);
                if bytes.is_none() {
                    self.mistakes.add(format!("{key}.file"), "it names no file");
                }
                Content::File(STANDARD.encode(bytes.map(Vec::as_slice).unwrap_or_default()))
            }
            (None, Some(size)) => {
                if size > LARGEST {
                    self.mistakes.add(format!("{key}.size"), format!("use at most {LARGEST}"));
                }
                Content::Made(size.min(LARGEST), file.fill.unwrap_or_default())
            }
            (None, None) | (Some(_), Some(_)) => {
                self.mistakes.add(key, "it needs a `file`, or a `size` such as `10MiB`");
                Content::Made(Size(0), Fill::Zero)
            }
        }
    }
}
