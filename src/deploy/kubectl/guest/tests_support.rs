//! A tree of files in memory, for the tests of the guest's side.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::deploy::kubectl::{Fetched, Files};

/// The files.
pub struct Tree {
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    kubeconfigs: Vec<PathBuf>,
    has_platform: bool,
}

impl Tree {
    /// A tree of these.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec()))
            .collect();
        Self { files: RefCell::new(files), kubeconfigs: Vec::new(), has_platform: true }
    }

    /// With this file as the kubeconfig.
    pub fn kubeconfig(mut self, path: &str) -> Self {
        self.kubeconfigs.push(PathBuf::from(path));
        self
    }

    /// Where no driver is.
    pub fn on_a_laptop(mut self) -> Self {
        self.has_platform = false;
        self
    }
}

impl Files for Tree {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let files = self.files.borrow();
        let path = path.to_str().unwrap_or_default();
        files.get(path).cloned().ok_or_else(|| Error::from(ErrorKind::NotFound))
    }

    fn list(&self, path: &Path) -> std::io::Result<Option<Vec<String>>> {
        let files = self.files.borrow();
        let path = path.to_str().unwrap_or_default().trim_end_matches('/');
        if files.contains_key(path) {
            return Ok(None);
        }
        let prefix = format!("{path}/");
        let mut names: Vec<String> = files
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix))
            .map(|rest| rest.split('/').next().unwrap_or_default().to_owned())
            .collect();
        names.dedup();
        if names.is_empty() { Err(Error::from(ErrorKind::NotFound)) } else { Ok(Some(names)) }
    }

    fn write(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        self.files.borrow_mut().insert(path.display().to_string(), content.to_vec());
        Ok(())
    }

    fn fetch(&self, _url: &str) -> Result<Fetched, String> {
        Ok(Fetched { status: 404, reason: "404 Not Found".to_owned(), body: Vec::new() })
    }

    fn kubeconfigs(&self) -> Vec<PathBuf> {
        self.kubeconfigs.clone()
    }

    fn kustomize(&self, folder: &str) -> Result<Vec<u8>, String> {
        Err(format!("{folder} is no kustomization"))
    }

    fn has_platform(&self) -> bool {
        self.has_platform
    }

    fn is_terminal(&self) -> bool {
        false
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}
