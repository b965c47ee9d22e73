//! Applies `requiressl`.

use super::ConnectOptions;
use crate::error::Error;

impl ConnectOptions {
    /// Returns these options with the `sslmode` that [`requiressl`](Self::requiressl) asks for. `environment` reads a
    /// variable of the client's environment.
    pub(super) fn encrypted(self, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        if !self.require_ssl {
            return Ok(self);
        }
        let said = self.get("sslmode").map(str::to_owned);
        if said.is_none() && (self.get("service").is_some() || environment("PGSERVICE").is_some()) {
            let reason = "the service may ask for a stricter sslmode: set sslmode in the connection string";
            return Err(Error::Configuration { setting: "requiressl", reason: reason.to_owned() });
        }
        match said.or_else(|| environment("PGSSLMODE")).as_deref() {
            Some("verify-ca" | "verify-full") => Ok(self),
            _ => Ok(self.with("sslmode", "require")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectOptions;
    use crate::error::Error;

    /// Returns the `sslmode` of these options with `requiressl`, in an environment.
    fn sslmode(text: &str, environment: &[(&str, &str)]) -> Result<Option<String>, Error> {
        let environment = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let options = text.parse::<ConnectOptions>()?.requiressl(true).encrypted(environment)?;
        Ok(options.get("sslmode").map(str::to_owned))
    }

    #[test]
    fn requiressl_only_ever_makes_the_connection_safer() {
        let asked_for = |text: &str, environment: &[(&str, &str)]| sslmode(text, environment).unwrap();
        let require = Some("require".to_owned());
        assert_eq!(asked_for("", &[]), require);
        for lax in ["disable", "allow", "prefer"] {
            assert_eq!(asked_for(&format!("sslmode={lax}"), &[]), require);
            assert_eq!(asked_for("", &[("PGSSLMODE", lax)]), require);
        }
        for strict in ["verify-ca", "verify-full"] {
            assert_eq!(asked_for(&format!("sslmode={strict}"), &[]).as_deref(), Some(strict));
            assert_eq!(asked_for("", &[("PGSSLMODE", strict)]), None, "libpq reads it");
            assert_eq!(asked_for("sslmode=prefer", &[("PGSSLMODE", strict)]), require);
        }
        let options = ConnectOptions::new().encrypted(|name| panic!("reads {name} unasked")).unwrap();
        assert_eq!(options.get("sslmode"), None);
    }

    #[test]
    fn requiressl_does_not_go_before_a_service_that_may_be_stricter() {
        for (text, environment) in [("service=shop", &[][..]), ("", &[("PGSERVICE", "shop")])] {
            let refused = sslmode(text, environment);
            assert!(
                matches!(refused, Err(Error::Configuration { setting: "requiressl", .. })),
                "{refused:?}"
            );
            let told = sslmode(&format!("{text} sslmode=verify-full"), environment);
            assert_eq!(told.unwrap().as_deref(), Some("verify-full"));
        }
    }
}
