//! Verifies a server's certificate.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};

/// The authorities that the store trusts, and the certificates that they have revoked.
pub(super) struct Authorities {
    /// The self-signed certificates. For any other certificate OpenSSL, and so libpq, looks for the signer.
    trusted: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    /// The other certificates, which the server then need not send.
    between: Vec<CertificateDer<'static>>,
    revoked: Vec<CertRevocationList<'static>>,
}

impl Authorities {
    /// Returns `None` if a certificate cannot be used. With `skips_unknown` it leaves such certificates out instead,
    /// because the user did not choose the system's certificates.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        revoked: Vec<CertRevocationList<'static>>,
        skips_unknown: bool,
    ) -> Option<Self> {
        let mut this = Self { trusted: Vec::new(), anchors: Vec::new(), between: Vec::new(), revoked };
        for certificate in certificates {
            // A certificate that is too old for this parser can only be that of an authority.
            let signed_by_another =
                EndEntityCert::try_from(&certificate).is_ok_and(|parsed| parsed.issuer() != parsed.subject());
            match anchor_from_trusted_cert(&certificate).map(|anchor| anchor.to_owned()) {
                Ok(_) if signed_by_another => this.between.push(certificate),
                Ok(anchor) => {
                    this.anchors.push(anchor);
                    this.trusted.push(certificate);
                }
                Err(_) if skips_unknown => {}
                Err(_) => return None,
            }
        }
        Some(this)
    }
}

/// Checks the server's certificate as the mode demands. Always checks that the server has the certificate's key.
/// Otherwise an attacker could send the server's own certificate, and channel binding would not detect it.
pub(super) struct Verifier {
    authorities: Option<Authorities>,
    checks_host: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Without authorities, accepts any certificate.
    pub(super) fn new(
        authorities: Option<Authorities>,
        checks_host: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { authorities, checks_host, algorithms }
    }

    fn check_signatures(
        &self,
        authorities: &Authorities,
        certificate: &EndEntityCert<'_>,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let revoked: Vec<&CertRevocationList<'_>> = authorities.revoked.iter().collect();
        // As OpenSSL does for libpq, this checks the whole chain, and refuses a certificate that no valid list covers.
        // If no lists were given, nothing is checked for revocation.
        let revocation = RevocationOptionsBuilder::new(&revoked).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let between: Vec<CertificateDer<'_>> = intermediates
            .iter()
            .chain(&authorities.between)
            .map(|der| CertificateDer::from(der.as_ref()))
            .collect();
        let verified = certificate.verify_for_usage(
            self.algorithms.all,
            &authorities.anchors,
            &between,
            now,
            KeyUsage::server_auth(),
            revocation,
            None,
        );
        match verified {
            Ok(_) => Ok(()),
            // PostgreSQL's manual shows how to make such a certificate: self-signed, and marked as an authority. webpki
            // has checked its dates before this error. It is trusted as an authority, so it may also be the server.
            Err(webpki::Error::CaUsedAsEndEntity)
                if authorities.revoked.is_empty() && authorities.trusted.contains(shown) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            let certificate = EndEntityCert::try_from(shown).map_err(invalid)?;
            self.check_signatures(authorities, &certificate, shown, intermediates, now).map_err(invalid)?;
            if self.checks_host {
                certificate.verify_is_valid_for_subject_name(host).map_err(invalid)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Converts the error, without the names in the certificate or in the address.
fn invalid(error: webpki::Error) -> rustls::Error {
    use webpki::Error as Found;

    rustls::Error::InvalidCertificate(match error {
        Found::BadDer | Found::BadDerTime => CertificateError::BadEncoding,
        Found::CertExpired { .. } | Found::InvalidCertValidity => CertificateError::Expired,
        Found::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Found::CertNotValidForName(_) => CertificateError::NotValidForName,
        Found::CertRevoked => CertificateError::Revoked,
        Found::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        Found::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Found::UnknownIssuer => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("checks_host", &self.checks_host).finish_non_exhaustive()
    }
}
