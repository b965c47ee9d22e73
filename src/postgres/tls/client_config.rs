//! Turns the parameters of a connection into a configuration of rustls.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};

use super::files::{self, refused};
use super::verifier::{Authorities, Verifier};
use crate::conninfo::{Roots, SslMode, TlsParameters, TlsVersion};
use crate::error::Error;

pub(super) fn client_config(parameters: &TlsParameters) -> Result<ClientConfig, Error> {
    // The provider is named here, so that the application's default for its process does not change it.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let versions: Vec<_> = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)]
        .into_iter()
        .filter(|(version, _)| (parameters.oldest..=parameters.newest).contains(version))
        .map(|(_, version)| version)
        .collect();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|_| refused("ssl_min_protocol_version", "rustls supports no version in this range"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(
            authorities(parameters)?,
            parameters.mode == SslMode::VerifyFull,
            algorithms,
        )));
    let mut config = match &parameters.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = files::certificates("sslcert", certificate)?;
            let key = files::private_key(key)?;
            let mismatch = |_| {
                refused("sslkey", "it is not the key of the certificate in `sslcert`, or its type is unknown")
            };
            builder.with_client_auth_cert(certificate, key).map_err(mismatch)?
        }
    };
    config.enable_sni = parameters.sends_server_name;
    // PostgreSQL does not resume TLS sessions, and each connection must be verified.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Reads the authorities and the lists of revoked certificates. As in libpq, they verify the server's certificate in
/// every mode if `sslrootcert` is set.
fn authorities(parameters: &TlsParameters) -> Result<Option<Authorities>, Error> {
    let certificates = match &parameters.roots {
        None => return Ok(None),
        Some(Roots::System) => files::system_roots()?,
        Some(Roots::File(name)) => files::certificates("sslrootcert", name)?,
    };
    let revoked = parameters.revoked.as_deref().map(files::revocation_lists).transpose()?;
    let reason = "one of its certificates cannot be an authority's: check that each is an X.509 certificate";
    Authorities::new(certificates, revoked.unwrap_or_default(), parameters.roots == Some(Roots::System))
        .ok_or_else(|| refused("sslrootcert", reason))
        .map(Some)
}
