//! A Chromium browser that emulates a phone, controlled through `chromedriver`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use super::visitor::{COOKIE, PASSWORD};
use super::{Application, LATE};

const MISSING: &str = "Chromium or its driver is missing: `apt install chromium chromium-driver`";

/// Marks the current page. The next page is recognized by the missing mark.
const LAST_PAGE: &str = "document.documentElement.id = 'last-page'";

/// A browser with an empty profile. It runs until this is dropped.
pub(crate) struct Browser {
    client: Client,
    address: String,
    _driver: Driver,
}

impl Browser {
    /// Starts a browser that visits this application.
    pub(crate) async fn of(application: &Application) -> Self {
        let driver = Driver::start();
        let mut arguments = vec!["--headless=new", "--disable-gpu", "--disable-dev-shm-usage"];
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            // Chromium's sandbox does not run as root.
            arguments.push("--no-sandbox");
        }
        let phone = json!({ "deviceMetrics": { "width": 390, "height": 800, "pixelRatio": 1.0 } });
        let options = json!({ "args": arguments, "mobileEmulation": phone });
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.address())
            .await
            .expect(MISSING);
        // Browsers accept a secure cookie without TLS only from this name.
        let address = format!("http://localhost:{}", application.port);
        Self { client, address, _driver: driver }
    }

    pub(crate) async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.address)).await.unwrap();
    }

    /// Goes back, like the browser's back button.
    pub(crate) async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub(crate) async fn write(&self, field: &str, text: &str) {
        let field = self.client.find(Locator::Id(field)).await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses a button and waits for the page to which it leads, which may be the same page again.
    pub(crate) async fn press(&self, button: &str, path: &str) {
        self.press_for_any_page(button).await;
        self.arrive(path).await;
    }

    /// Presses a button and waits for any other page, including an error page.
    pub(crate) async fn press_for_any_page(&self, button: &str) {
        self.script(LAST_PAGE).await;
        self.client.find(Locator::Id(button)).await.unwrap().click().await.unwrap();
        self.next_page().await;
    }

    /// Presses a button twice, as slowly as a double click may be, and waits for the page to which it leads. A script
    /// does this, because the driver would wait for the page of the first press before the second press.
    pub(crate) async fn press_twice(&self, button: &str, path: &str) {
        let press = format!("document.getElementById('{button}').click()");
        self.script(&format!("{LAST_PAGE}; {press}; setTimeout(() => {press}, 500)")).await;
        self.next_page().await;
        self.arrive(path).await;
    }

    async fn next_page(&self) {
        let next_page = Locator::Css("html:not(#last-page) body");
        self.client.wait().at_most(LATE).for_element(next_page).await.unwrap();
    }

    async fn arrive(&self, path: &str) {
        let url = format!("{}{path}", self.address).parse().unwrap();
        self.client.wait().at_most(LATE).for_url(&url).await.unwrap();
    }

    pub(crate) async fn register(&self, name: &str) {
        self.open("/register").await;
        self.write("name", name).await;
        self.write("password", PASSWORD).await;
        self.press("register", "/login").await;
    }

    pub(crate) async fn log_in(&self, name: &str) {
        self.fill_in_login(name).await;
        self.press("log-in", "/notes").await;
    }

    /// Does everything that `log_in` does before the button.
    pub(crate) async fn fill_in_login(&self, name: &str) {
        self.open("/login").await;
        self.write("name", name).await;
        self.write("password", PASSWORD).await;
    }

    /// Returns the path of the current page.
    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Returns the text of the page.
    pub(crate) async fn text(&self) -> String {
        self.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Returns the cookie of the browser's session.
    pub(crate) async fn cookie(&self) -> Cookie {
        let cookie = self.client.get_named_cookie(COOKIE).await.unwrap();
        Cookie {
            value: cookie.value().to_owned(),
            is_http_only: cookie.http_only() == Some(true),
            is_secure: cookie.secure() == Some(true),
            same_site: cookie.same_site().map(|same_site| same_site.to_string()),
        }
    }

    /// Gives the browser another browser's session. This must come before it has its own session, because a script
    /// cannot replace a cookie that scripts cannot read.
    pub(crate) async fn share_session_of(&self, other: &Self) {
        self.open("/nowhere").await;
        let session = other.cookie().await.value;
        self.script(&format!("document.cookie = '{COOKIE}={session}; Secure; Path=/'")).await;
        assert_eq!(self.cookie().await.value, session);
    }

    /// Runs a script in the page and returns its result.
    pub(crate) async fn script(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Returns a screenshot of the page, as a PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }
}

/// A cookie as the browser stores it.
#[derive(Debug, PartialEq)]
pub(crate) struct Cookie {
    pub(crate) value: String,
    pub(crate) is_http_only: bool,
    pub(crate) is_secure: bool,
    pub(crate) same_site: Option<String>,
}

/// The driver of one browser.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    /// Starts the driver. It takes a free port on IPv4 and then the same port on IPv6. It ends if another program
    /// already has that port, so this tries again.
    fn start() -> Self {
        (0..5).find_map(|_| Self::try_start()).expect("chromedriver did not report a port: see its log above")
    }

    fn try_start() -> Option<Self> {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect(MISSING);
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            |line: String| line.trim_end_matches('.').rsplit_once("successfully on port ")?.1.parse().ok();
        if let Some(port) = said.find_map(port) {
            return Some(Self { process, port });
        }
        process.wait().unwrap();
        None
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The driver ends its browser first, whether the test passed or failed.
        if ureq::get(format!("{}/shutdown", self.address())).call().is_err() {
            let _gone_already = self.process.kill();
        }
        let _gone = self.process.wait();
    }
}
