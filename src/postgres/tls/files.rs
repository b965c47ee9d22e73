//! Reads the files of certificates and keys. No error shows their contents or their names.

use std::fs::Metadata;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::error::Error;

pub(super) fn refused(setting: &'static str, reason: impl Into<String>) -> Error {
    Error::Configuration { setting, reason: reason.into() }
}

/// Reads all certificates of a file, in order.
pub(super) fn certificates(setting: &'static str, name: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    all(setting, name, "certificate")
}

pub(super) fn revocation_lists(name: &str) -> Result<Vec<CertRevocationList<'static>>, Error> {
    let lists: Vec<CertificateRevocationListDer<'_>> = all("sslcrl", name, "list of revoked certificates")?;
    let read = |list: &CertificateRevocationListDer<'_>| {
        let list = OwnedCertRevocationList::from_der(list);
        list.map(Into::into).map_err(|_| refused("sslcrl", "one of its lists has an unknown form"))
    };
    lists.iter().map(read).collect()
}

fn all<T: PemObject>(setting: &'static str, name: &str, what: &str) -> Result<Vec<T>, Error> {
    let failed = |error| unreadable(setting, what, &error);
    let found: Vec<T> = T::pem_file_iter(name).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() { Err(failed(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// Reads the key of the client's certificate.
pub(super) fn private_key(name: &str) -> Result<PrivateKeyDer<'static>, Error> {
    const SETTING: &str = "sslkey";
    let failed = |error| unreadable(SETTING, "key without a password", &error);
    let metadata = std::fs::metadata(name).map_err(|error| failed(pem::Error::Io(error)))?;
    if !metadata.is_file() {
        return Err(refused(SETTING, "it is not a file"));
    }
    if others_may_use(&metadata) {
        let reason =
            "others can read the file: allow only its owner (`chmod 600`), or root and a group (640)";
        return Err(refused(SETTING, reason));
    }
    PrivateKeyDer::from_pem_file(name).map_err(failed)
}

/// Applies libpq's rule: only the owner can use the file, but a group can read it if the owner is root.
#[cfg(unix)]
fn others_may_use(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    metadata.mode() & forbidden != 0
}

/// libpq does not check this on other systems either.
#[cfg(not(unix))]
fn others_may_use(_metadata: &Metadata) -> bool {
    false
}

/// Reads the certificates that the operating system trusts.
pub(super) fn system_roots() -> Result<Vec<CertificateDer<'static>>, Error> {
    // A certificate that cannot be read is left out. The store then trusts less.
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let reason = "the system has no certificates: install them (`ca-certificates`), or name a file";
        return Err(refused("sslrootcert", reason));
    }
    Ok(found)
}

/// Makes an error without the text of the PEM error, which may quote the file.
fn unreadable(setting: &'static str, what: &str, error: &pem::Error) -> Error {
    refused(
        setting,
        match error {
            pem::Error::Io(error) => {
                format!("the file cannot be read ({}): name another, or let it be read", error.kind())
            }
            pem::Error::NoItemsFound => format!("the file holds no {what} in PEM form: name another"),
            _ => "the file is not PEM: name another, or convert it".to_owned(),
        },
    )
}
