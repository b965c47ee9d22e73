//! The handlers of the requests.
//!
//! Requests that change something are POST requests. Other sites cannot send them with this site's cookie. A sign-in
//! needs no cookie, so another site can sign a visitor in under a name that it chose. Forms with tokens prevent that:
//! see `examples/web`.

use diesel_session::{
    Error, Expiry, NewSession, Now as _, Session, SessionHandle, SessionKey, Sessions, json,
};
use rocket::form::{Form, FromForm};
use rocket::request::{FromRequest, Outcome};
use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::{Request, Route, get, post, routes};

use crate::failure::Failure;
use crate::session::Visitor;
use crate::shop;

pub(crate) fn all() -> Vec<Route> {
    routes![
        greet,
        sign_in,
        sign_out,
        show_cart,
        add_to_cart,
        show_orders,
        order,
        devices,
        end_device,
        end_others
    ]
}

#[get("/")]
fn greet(visitor: Visitor<'_>) -> Result<String, Failure> {
    let (_key, owner) = visitor.signed_in()?;
    Ok(format!("Hello, {owner}.\n"))
}

#[derive(FromForm)]
struct SignIn<'r> {
    name: &'r str,
    password: &'r str,
}

/// The name of the browser. It becomes the session's label.
struct Browser(String);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Browser {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        let name = request.headers().get_one("User-Agent").unwrap_or("an unknown device");
        // A label has at most 255 bytes, and a character has at most four.
        Outcome::Success(Self(name.chars().take(60).collect()))
    }
}

#[post("/sign-in", data = "<form>")]
async fn sign_in(
    visitor: Visitor<'_>,
    browser: Browser,
    form: Form<SignIn<'_>>,
) -> Result<&'static str, Failure> {
    if !shop::is_user(form.name, form.password) {
        return Err(Failure::SignedOut("The name or the password is wrong.\n"));
    }
    let (owner, last) = (form.name.to_owned(), visitor.session.clone());
    let signed_in = visitor.run(move |conn, options| {
        conn.immediate_transaction(|conn| begin_session(&options.on(conn), last, &owner, &browser.0))
    });
    visitor.set_cookie(&signed_in.await?);
    Ok("Welcome.\n")
}

/// Gives a user a session and returns its key. This is the visitor's last session under a new key, or a new session. A
/// key that somebody saw or planted before the sign-in is dead afterwards. The absolute timeout of a continued session
/// does not start again.
fn begin_session(
    sessions: &impl Sessions,
    last: Option<(SessionKey, Session)>,
    owner: &str,
    label: &str,
) -> Result<SessionKey, Error> {
    if let Some((key, session)) = last {
        if session.owner.is_none_or(|last_owner| last_owner == owner) {
            match sessions.rotate(&key) {
                Ok(key) => {
                    sessions.bind(&key, owner)?;
                    sessions.set_label(&key, Some(label))?;
                    return Ok(key);
                }
                // Another sign-in has renewed the session in between, for example the second click of a double click.
                Err(Error::NotFound) => {}
                Err(other) => return Err(other),
            }
        } else {
            // The session of another user has nothing for this one.
            sessions.clear(&key)?;
        }
    }
    sessions.generate_with(&NewSession::new().owner(owner).label(label))
}

/// Ends the session. No request brings it back, not even one with a copy of the cookie.
#[post("/sign-out")]
async fn sign_out(visitor: Visitor<'_>) -> Result<&'static str, Failure> {
    if let Some((key, _)) = visitor.session {
        visitor.run(move |conn, options| options.on(conn).clear(&key)).await?;
    }
    visitor.remove_cookie();
    Ok("Goodbye.\n")
}

/// Returns the numbers of the products in a session's cart.
fn cart(session: &Session) -> Result<Vec<i32>, Error> {
    session.value.as_deref().map_or(Ok(Vec::new()), json::decode)
}

#[get("/cart")]
fn show_cart(visitor: Visitor<'_>) -> Result<Json<Vec<i32>>, Failure> {
    let products = visitor.session.as_ref().map(|(_key, session)| cart(session)).transpose()?;
    Ok(Json(products.unwrap_or_default()))
}

/// Puts a product into the cart. For a visitor without a session, this begins one.
#[post("/cart/<product>")]
async fn add_to_cart(visitor: Visitor<'_>, product: i32) -> Result<&'static str, Failure> {
    let key = visitor.session.as_ref().map(|(key, _session)| *key);
    let begun = visitor.run(move |conn, options| {
        let sessions = options.on(conn);
        let Some(key) = key else {
            return sessions.generate(Some(&json::encode(&[product])?), None).map(Some);
        };
        // If two requests add a product at the same time, both products are kept.
        let add = json::change(|products: Option<Vec<i32>>| {
            let mut products = products.unwrap_or_default();
            products.push(product);
            Ok::<_, Error>(products)
        });
        sessions.update(&key, Expiry::Default, add)?;
        Ok(None)
    });
    // The cookie is set only for a new key. An old key could replace a newer one that another request has just set.
    if let Some(key) = begun.await? {
        visitor.set_cookie(&key);
    }
    Ok("Added to your cart.\n")
}

#[get("/orders")]
async fn show_orders(visitor: Visitor<'_>) -> Result<Json<Vec<i32>>, Failure> {
    let (_key, owner) = visitor.signed_in()?;
    Ok(Json(visitor.run(move |conn, _options| shop::orders_of(conn, &owner)).await?))
}

/// Orders the products in the cart. Orders, stock and session change in one transaction: all of them or none.
#[post("/orders")]
async fn order(visitor: Visitor<'_>) -> Result<&'static str, Failure> {
    let (key, owner) = visitor.signed_in()?;
    let ordered = visitor.run(move |conn, options| {
        conn.immediate_transaction(|conn| {
            let products = cart(&options.on(conn).find(&key)?)?;
            options.on(conn).put(&key, "[]", Expiry::Default)?;
            shop::order(conn, &owner, &products)
        })
    });
    ordered.await?;
    Ok("Your order is on its way.\n")
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Device {
    /// Names the session. A handle is not a key.
    handle: String,
    label: Option<String>,
    this_one: bool,
}

#[get("/devices")]
async fn devices(visitor: Visitor<'_>) -> Result<Json<Vec<Device>>, Failure> {
    let (key, owner) = visitor.signed_in()?;
    let listed = visitor.run(move |conn, options| {
        let sessions = options.on(conn);
        let this = sessions.handle(&key);
        let devices = sessions.sessions_of(&owner, 100)?.into_iter().map(|session| Device {
            handle: session.handle.to_string(),
            label: session.label,
            this_one: session.handle == this,
        });
        Ok::<_, Error>(devices.collect())
    });
    Ok(Json(listed.await?))
}

#[post("/devices/<handle>/end")]
async fn end_device(visitor: Visitor<'_>, handle: &str) -> Result<&'static str, Failure> {
    let (_key, owner) = visitor.signed_in()?;
    let missing = || Failure::Missing("This is not one of your devices.\n");
    let handle: SessionHandle = handle.parse().map_err(|_| missing())?;
    let ended = visitor.run(move |conn, options| options.on(conn).clear_listed(&owner, &handle));
    if ended.await? { Ok("The device is signed out.\n") } else { Err(missing()) }
}

#[post("/devices/end-others")]
async fn end_others(visitor: Visitor<'_>) -> Result<String, Failure> {
    let (key, owner) = visitor.signed_in()?;
    let ended = visitor.run(move |conn, options| options.on(conn).clear_owner(&owner, Some(&key)));
    Ok(format!("Devices signed out: {}.\n", ended.await?))
}
