//! The files of certificates and keys. No error tells what is in them, nor their names.

use std::fs::Metadata;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::error::Error;

pub(super) fn refused(setting: &'static str, reason: impl Into<String>) -> Error {
    Error::Configuration { setting, reason: reason.into() }
}

/// All certificates of a file, in order.
pub(super) fn certificates(setting: &'static str, name: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    all(setting, name, "certificate")
}

pub(super) fn revocation_lists(name: &str) -> Result<Vec<CertRevocationList<'static>>, Error> {
    let lists: Vec<CertificateRevocationListDer<'_>> = all("sslcrl", name, "list of revoked certificates")?;
    let read = |list: &CertificateRevocationListDer<'_>| {
        let list = OwnedCertRevocationList::from_der(list);
        list.map(Into::into).map_err(|_| refused("sslcrl", "one of its lists is of no known kind"))
    };
    lists.iter().map(read).collect()
}

fn all<T: PemObject>(setting: &'static str, name: &str, what: &str) -> Result<Vec<T>, Error> {
    let failed = |error| unreadable(setting, what, &error);
    let found: Vec<T> = T::pem_file_iter(name).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() { Err(failed(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// The key of the client's certificate.
pub(super) fn private_key(name: &str) -> Result<PrivateKeyDer<'static>, Error> {
    const SETTING: &str = "sslkey";
    let failed = |error| unreadable(SETTING, "key without a password", &error);
    let metadata = std::fs::metadata(name).map_err(|error| failed(pem::Error::Io(error)))?;
    if !metadata.is_file() {
        return Err(refused(SETTING, "it is no file"));
    }
    if others_may_use(&metadata) {
        let reason =
            "others can read the file: let its owner alone read it (`chmod 600`), or root and a group (640)";
        return Err(refused(SETTING, reason));
    }
    PrivateKeyDer::from_pem_file(name).map_err(failed)
}

/// The rule of libpq: only the owner can use the file. If the owner is root, a group can read it.
#[cfg(unix)]
fn others_may_use(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    metadata.mode() & forbidden != 0
}

/// Elsewhere libpq does not look either.
#[cfg(not(unix))]
fn others_may_use(_metadata: &Metadata) -> bool {
    false
}

/// The certificates that the operating system trusts.
pub(super) fn system_roots() -> Result<Vec<CertificateDer<'static>>, Error> {
    // What it could not read is missing, so that less is trusted.
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let reason = "the system has no certificates: install them (`ca-certificates`), or name a file";
        return Err(refused("sslrootcert", reason));
    }
    Ok(found)
}

/// The errors of PEM may quote the file.
fn unreadable(setting: &'static str, what: &str, error: &pem::Error) -> Error {
    refused(
        setting,
        match error {
            pem::Error::Io(error) => {
                format!("the file cannot be read ({}): name one that can be", error.kind())
            }
            pem::Error::NoItemsFound => format!("the file holds no {what}, as PEM: name another"),
            _ => "the file is no PEM: name another, or convert it".to_owned(),
        },
    )
}
