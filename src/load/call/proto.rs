//! The definitions of gRPC's services: from proto files, or from what a server says of itself.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::load::error::suggest;

/// Definitions that proto files gave.
#[derive(Debug, Default)]
pub struct Protos {
    pool: DescriptorPool,
    done: Vec<String>,
}

/// A mistake, and the key of `grpc:` that it belongs to.
type Wrong = (&'static str, String);

impl Protos {
    /// Compiles a proto file and adds what it defines.
    pub fn add(
        &mut self,
        file: &str,
        imports: &[String],
        texts: &BTreeMap<String, String>,
    ) -> Result<(), Wrong> {
        if self.done.iter().any(|done| done == file) {
            return Ok(());
        }
        let wrong = |error: String| ("proto", error);
        let text = texts.get(file).ok_or_else(|| wrong("it names no file".to_owned()))?;
        let known =
            imports.iter().filter_map(|path| Some((path.clone(), texts.get(path)?.clone())));
        let resolver = Files { own: (file.to_owned(), text.clone()), known: known.collect() };
        let mut resolvers = protox::file::ChainFileResolver::new();
        resolvers.add(resolver);
        resolvers.add(protox::file::GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolvers);
        compiler.include_imports(true);
        compiler.open_file(file).map_err(|error| wrong(told(&error)))?;
        let files = compiler.file_descriptor_set();
        self.pool.add_file_descriptor_set(files).map_err(|error| wrong(error.to_string()))?;
        self.done.push(file.to_owned());
        Ok(())
    }

    /// Tells whether a method is there and is one that can be called.
    pub fn check(&self, service: &str, method: &str) -> Result<(), Wrong> {
        find(&self.pool, service, method).map(|_| ()).map_err(|error| ("call", error))
    }

    /// Returns everything as data; empty when there is nothing.
    pub fn packed(&self) -> String {
        if self.done.is_empty() {
            String::new()
        } else {
            STANDARD.encode(self.pool.encode_to_vec())
        }
    }
}

/// Reads what [`Protos::packed`] gave.
pub fn unpack(packed: &str) -> Result<DescriptorPool, String> {
    if packed.is_empty() {
        return Ok(DescriptorPool::new());
    }
    let bytes = STANDARD.decode(packed).map_err(|error| error.to_string())?;
    DescriptorPool::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

/// Finds a method that takes one message and gives one.
pub fn find(
    pool: &DescriptorPool,
    service: &str,
    method: &str,
) -> Result<MethodDescriptor, String> {
    let Some(found) = pool.get_service_by_name(service) else {
        let services = pool.services().map(|service| service.full_name().to_owned());
        let known: Vec<String> = services.collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(format!("no service is named `{service}`: {}", suggest(service, &known)));
    };
    let Some(own) = found.methods().find(|own| own.name() == method) else {
        let known: Vec<String> = found.methods().map(|own| own.name().to_owned()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(format!("`{service}` has no method `{method}`: {}", suggest(method, &known)));
    };
    if own.is_client_streaming() || own.is_server_streaming() {
        return Err(format!("`{service}/{method}` streams: only unary methods can be called"));
    }
    Ok(own)
}

/// Adds files that a server gave, those they import among them.
pub fn add_files(pool: &mut DescriptorPool, files: Vec<FileDescriptorProto>) -> Result<(), String> {
    pool.add_file_descriptor_set(FileDescriptorSet { file: files })
        .map_err(|error| error.to_string())
}

/// Reads a file's definition as a server sends it.
pub fn read_file(bytes: &[u8]) -> Result<FileDescriptorProto, String> {
    FileDescriptorProto::decode(bytes).map_err(|error| error.to_string())
}

/// The files of a plan, as imports name them.
struct Files {
    own: (String, String),
    known: Vec<(String, String)>,
}

impl protox::file::FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        let (own, text) = &self.own;
        if own == name {
            return protox::file::File::from_source(name, text);
        }
        let is_it = |path: &str| path == name || path.ends_with(&format!("/{name}"));
        match self.known.iter().find(|(path, _)| is_it(path)) {
            Some((_, text)) => protox::file::File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn told(error: &protox::Error) -> String {
    let text = error.to_string();
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    if error.is_file_not_found() {
        return format!("{}: name the imported file in `imports`", text.join(" "));
    }
    text.join(" ")
}
