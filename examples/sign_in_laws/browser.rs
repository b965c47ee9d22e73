//! A browser that keeps the last cookie that it received and follows no redirects.

use std::time::Duration;

use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::program::Program;

/// A timeout that no request reaches normally.
const LATE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Browser {
    agent: Agent,
    address: String,
    /// The whole header: `name=value`. `None` before the first cookie.
    pub(crate) cookie: Option<String>,
}

/// The program's response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn of(program: &Program) -> Self {
        Self::named(program, "A browser")
    }

    /// Returns a browser with this name in its `User-Agent`.
    pub(crate) fn named(program: &Program, name: &str) -> Self {
        let settings = Agent::config_builder()
            .user_agent(name)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(LATE));
        Self { agent: settings.build().into(), address: program.address.clone(), cookie: None }
    }

    /// Opens the home page and returns its text.
    pub(crate) fn see_home(&mut self) -> String {
        let home = self.get("/");
        assert_eq!(home.status, 200, "{}", home.body);
        home.body
    }

    /// Sends the sign-in form and returns the response. The caller checks whether that worked.
    pub(crate) fn post_sign_in(&mut self, name: &str, password: &str) -> Answer {
        self.post("/login", &[("name", name), ("password", password)])
    }

    pub(crate) fn sign_in(&mut self, name: &str, password: &str) {
        let answer = self.post_sign_in(name, password);
        assert_eq!(answer.status, 303, "{}", answer.body);
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.address));
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.read(request.call().unwrap())
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.address));
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
        Answer { status: response.status().as_u16(), body: response.body_mut().read_to_string().unwrap() }
    }
}
