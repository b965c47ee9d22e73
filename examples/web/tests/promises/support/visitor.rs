//! A visitor who sends requests without a browser.

use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::{Application, LATE};

/// The name of the cookie if it is secure.
pub(crate) const COOKIE: &str = "__Host-id";

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A visitor with or without a cookie. Follows no redirects.
#[derive(Clone)]
pub(crate) struct Visitor {
    agent: Agent,
    address: String,
    /// The whole header: `name=value`.
    pub(crate) cookie: Option<String>,
    /// The value of the `User-Agent` header.
    pub(crate) user_agent: &'static str,
}

/// The application's response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether the response redirects to the login.
    pub(crate) fn is_logged_out(&self) -> bool {
        self.status == 303 && self.header("location") == "/login"
    }

    /// Returns the text of the page between `before` and `after`.
    pub(crate) fn between(&self, before: &str, after: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(before)?;
        Some(rest.split_once(after)?.0)
    }

    pub(crate) fn token(&self) -> String {
        self.between(r#"name="csrf" value=""#, "\"").expect("a form").to_owned()
    }
}

impl Visitor {
    pub(crate) fn of(application: &Application) -> Self {
        let settings =
            Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(Some(LATE));
        let address = format!("http://127.0.0.1:{}", application.port);
        Self { agent: settings.build().into(), address, cookie: None, user_agent: "tests" }
    }

    /// Returns a visitor who has registered and logged in.
    pub(crate) fn logged_in(application: &Application, name: &str) -> Self {
        let mut visitor = Self::of(application);
        assert_eq!(visitor.register(name, PASSWORD).status, 303);
        assert_eq!(visitor.log_in(name, PASSWORD).header("location"), "/notes");
        visitor
    }

    pub(crate) fn register(&mut self, name: &str, password: &str) -> Answer {
        self.submit("/register", "/register", &[("name", name), ("password", password)])
    }

    pub(crate) fn log_in(&mut self, name: &str, password: &str) -> Answer {
        self.submit("/login", "/login", &[("name", name), ("password", password)])
    }

    /// Opens a page and sends one of its forms.
    pub(crate) fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.get(page).token();
        self.post(action, &[fields, &[("csrf", &token)]].concat())
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.address));
        let mut request = request.header(header::USER_AGENT, self.user_agent);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.read(request.call().unwrap())
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.address));
        let mut request = request.header(header::USER_AGENT, self.user_agent);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.read(request.send_form(fields.iter().copied()).unwrap())
    }

    fn read(&mut self, mut response: Response<Body>) -> Answer {
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(cookie.to_owned());
        }
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }
}
