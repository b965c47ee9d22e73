//! Certificates that a test makes, and servers that present them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;
use throwaway_postgres::{Server, give_to_server};

/// A certificate authority. `named` makes one that has signed itself.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, as PEM.
pub(crate) struct Shown {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

fn made(certificate: &Certificate, key: &KeyPair) -> Shown {
    Shown { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// Returns the contents of a certificate for a server or a client of this name.
pub(crate) fn of(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(7));
    params
}

/// Returns the same, but expired long ago.
pub(crate) fn expired(name: &str) -> CertificateParams {
    let mut params = of(name);
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
    params
}

/// Marks the certificate as an authority's own, as `openssl req -x509` does.
pub(crate) fn authority_itself(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub(crate) fn self_signed(params: &CertificateParams) -> Shown {
    let key = KeyPair::generate().unwrap();
    made(&params.self_signed(&key).unwrap(), &key)
}

impl Authority {
    pub(crate) fn named(name: &str) -> Self {
        let params = authority_of(name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn signs(&self, params: &CertificateParams) -> Shown {
        let key = KeyPair::generate().unwrap();
        made(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }

    /// Makes an authority that this one has signed.
    pub(crate) fn signs_authority(&self, name: &str) -> Self {
        let params = authority_of(name);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns a certificate revocation list that names these serial numbers.
    pub(crate) fn revokes(&self, numbers: &[u64]) -> String {
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2200, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn authority_of(name: &str) -> CertificateParams {
    let mut params = authority_itself(CertificateParams::new(vec![]).unwrap());
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A directory for the files of one test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The server may run as another user.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    /// Writes a file that only this user can read, because libpq requires this of a key.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }
}

/// A server on the usual port, at a loopback address that no other server has.
pub(crate) struct Listening {
    pub(crate) server: Server,
    pub(crate) address: String,
    _files: Files,
}

impl Listening {
    /// Starts a server, with TLS if there is a certificate. `authority` is the PEM of the authority that signs client
    /// certificates. If it is empty, there are no client certificates. `rules` are lines of `pg_hba.conf`. The
    /// superuser can always connect through the socket.
    pub(crate) fn start(shown: Option<&Shown>, authority: &str, rules: &str) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{high}.{low}", 100 + NEXT.fetch_add(1, Ordering::Relaxed));
        let files = Files::new();
        let given = |name: &str, text: &str| {
            let path = files.write(name, text);
            give_to_server(&path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let rules = given("pg_hba.conf", &format!("local all postgres trust\n{rules}\n"));
        let mut settings = vec![format!("listen_addresses={address}"), format!("hba_file={rules}")];
        if let Some(Shown { certificate, key }) = shown {
            settings.push("ssl=on".to_owned());
            settings.push(format!("ssl_cert_file={}", given("server.crt", certificate)));
            settings.push(format!("ssl_key_file={}", given("server.key", key)));
        }
        if !authority.is_empty() {
            settings.push(format!("ssl_ca_file={}", given("ca.crt", authority)));
        }
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Self { server: Server::start(&settings).unwrap(), address, _files: files }
    }

    /// Returns the connection string for a role. Its host is the name that most certificates are for.
    pub(crate) fn to(&self, role: &str) -> String {
        format!("host=localhost hostaddr={} user={role} dbname=postgres", self.address)
    }
}
