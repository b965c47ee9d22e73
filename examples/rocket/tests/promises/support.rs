//! The server, and browsers that send requests to it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use ureq::http::{Response, header};
use ureq::{Agent, Body};

/// The server, with its own directory. It runs until this is dropped.
pub(crate) struct Shop {
    process: Running,
    address: String,
    directory: TempDir,
    /// The thread that reads the log, so that the server never waits for a reader.
    log: JoinHandle<String>,
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        assert!(ended.is_ok() || thread::panicking(), "{ended:?}");
    }
}

impl Shop {
    /// Starts a server with the default settings, except for a free port.
    pub(crate) fn open() -> Self {
        Self::open_with("{}")
    }

    /// Starts a server with these settings of its databases.
    pub(crate) fn open_with(databases: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Running(
            Command::new(env!("CARGO_BIN_EXE_rocket_sessions"))
                .current_dir(directory.path())
                .env_clear()
                .env("ROCKET_PORT", "0")
                .env("ROCKET_CLI_COLORS", "false")
                .env("ROCKET_LOG_LEVEL", "normal")
                .env("ROCKET_DATABASES", databases)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut output = BufReader::new(process.0.stdout.take().unwrap());
        let address = address(&mut output);
        let log = thread::spawn(move || {
            let mut log = String::new();
            output.read_to_string(&mut log).unwrap();
            log
        });
        Self { process, address, directory, log }
    }

    /// Opens a connection to the server's database.
    pub(crate) fn database(&self) -> SqliteConnection {
        let file = self.directory.path().join("rocket_sessions.db");
        let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        sql_query("PRAGMA busy_timeout = 5000").execute(&mut conn).unwrap();
        conn
    }

    /// Stops the server and returns everything that it has logged since it began to listen.
    pub(crate) fn close(self) -> String {
        drop(self.process);
        self.log.join().unwrap()
    }
}

/// Reads the server's output until it listens, and returns its address.
fn address(output: &mut BufReader<ChildStdout>) -> String {
    let mut said = String::new();
    while output.read_line(&mut said).unwrap() > 0 {
        if let Some((_, address)) = said.split_once("launched from ") {
            return address.trim_end().to_owned();
        }
    }
    panic!("the server did not start: {said}");
}

/// A browser, with or without a cookie.
#[derive(Clone)]
pub(crate) struct Browser {
    agent: Agent,
    address: String,
    /// The value of the `User-Agent` header.
    name: String,
    /// The whole header: `name=value`.
    pub(crate) cookie: Option<String>,
}

/// The server's response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) set_cookie: Option<String>,
    body: String,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Browser {
    pub(crate) fn of(shop: &Shop, name: &str) -> Self {
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)));
        Self {
            agent: settings.build().into(),
            address: shop.address.clone(),
            name: name.to_owned(),
            cookie: None,
        }
    }

    /// Returns a browser in which Alice has signed in.
    pub(crate) fn of_alice(shop: &Shop, name: &str) -> Self {
        let mut browser = Self::of(shop, name);
        assert_eq!(browser.sign_in("alice", "wonderland").status, 200);
        browser
    }

    pub(crate) fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("name", name), ("password", password)])
    }

    /// Whether the server considers this browser signed in.
    pub(crate) fn is_signed_in(&mut self) -> bool {
        match self.get("/").status {
            200 => true,
            401 => false,
            status => panic!("the server answers {status}"),
        }
    }

    /// Returns the session's key.
    pub(crate) fn key(&self) -> &str {
        self.cookie.as_ref().unwrap().strip_prefix("session=").unwrap()
    }

    /// Returns the products that the server lists at `path`.
    pub(crate) fn products(&mut self, path: &str) -> Vec<i32> {
        self.get(path).json()
    }

    pub(crate) fn add_to_cart(&mut self, products: &[i32]) {
        for product in products {
            assert_eq!(self.post(&format!("/cart/{product}"), &[]).status, 200);
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.address));
        let cookie = self.cookie.as_deref().unwrap_or_default();
        let request = request.header(header::USER_AGENT, &self.name).header(header::COOKIE, cookie);
        self.read(request.call().unwrap())
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.address));
        let cookie = self.cookie.as_deref().unwrap_or_default();
        let request = request.header(header::USER_AGENT, &self.name).header(header::COOKIE, cookie);
        self.read(request.send_form(fields.iter().copied()).unwrap())
    }

    fn read(&mut self, mut response: Response<Body>) -> Answer {
        let set_cookie = response.headers().get(header::SET_COOKIE).map(|cookie| cookie.to_str().unwrap());
        let set_cookie = set_cookie.map(str::to_owned);
        if let Some(cookie) = &set_cookie {
            let (value, _attributes) = cookie.split_once(';').unwrap();
            self.cookie = Some(value.to_owned()).filter(|_| !cookie.contains("Max-Age=0"));
        }
        Answer {
            status: response.status().as_u16(),
            set_cookie,
            body: response.body_mut().read_to_string().unwrap(),
        }
    }
}
