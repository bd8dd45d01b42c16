//! The guard: one function decides about a request by its method and headers.
//!
//! ```text
//!   method ─▶ Host ─▶ Origin ─▶ token in the address, `Authorization`, or cookie ─▶ in
//!    405       403      403         401
//! ```
//!
//! A page of another site can have the browser send requests here. It has no token, and the browser gives its cookie only to this
//! address. `Host` and `Origin` are the second wall: a name that was made to point to this machine is not ours. What acts on a process
//! is asked for by `POST`, with which a browser always sends `Origin`, so there it must be.

use crate::secret::Secret;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use std::net::IpAddr;

/// The header that jupyter-server-proxy sends with the path at which it stands for this page.
const PROXY_PATH: &str = "x-proxycontextpath";

/// What the guard of a page knows.
#[derive(Debug)]
pub struct Guard {
    /// The secret in the page's address.
    pub token: Secret,
    /// The secret that it is traded for.
    pub cookie: Secret,
    /// The name of the cookie. A browser gives cookies to all ports of a machine, so the port is in it.
    pub cookie_name: String,
    /// The name that the page was told to listen on.
    pub host: String,
    /// Whether a Jupyter server may stand between: then `Host` may have any name, if the token is there.
    pub is_proxied: bool,
}

/// The address at which the stack of a process is asked for, the one that acts on something.
pub const STACK: &str = "/api/stack";

/// The methods that are answered at this address, as the header `Allow` says them.
pub fn methods(path: &str) -> &'static str {
    if path == STACK { "POST" } else { "GET, HEAD" }
}

/// How a request was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the token: the answer brings the cookie.
    Token,
    /// By the cookie.
    Cookie,
}

/// A request that is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The answer.
    pub message: &'static str,
}

const ONLY_GET: Refusal =
    Refusal { status: StatusCode::METHOD_NOT_ALLOWED, message: "this address only answers GET: it changes nothing" };
const ONLY_POST: Refusal = Refusal {
    status: StatusCode::METHOD_NOT_ALLOWED,
    message: "this address only answers POST: it stops a process for a moment",
};
const NO_ORIGIN: Refusal = Refusal {
    status: StatusCode::FORBIDDEN,
    message: "a POST needs the header `Origin`, with the page's own address such as http://127.0.0.1:1234",
};
const STRANGE_HOST: Refusal = Refusal {
    status: StatusCode::FORBIDDEN,
    message: "the page is not known by this name: use the address that `dashboard()` gives",
};
const STRANGE_ORIGIN: Refusal =
    Refusal { status: StatusCode::FORBIDDEN, message: "a page of another site asked, and is not answered" };
const NO_TOKEN: Refusal = Refusal {
    status: StatusCode::UNAUTHORIZED,
    message: "the address of this page has a token: `dashboard()` in a cell gives it",
};

impl Guard {
    /// Lets a request in, or says why not.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Way, Refusal> {
        match (uri.path() == STACK, method) {
            (true, &Method::POST) | (false, &Method::GET | &Method::HEAD) => {}
            (true, _) => return Err(ONLY_POST),
            (false, _) => return Err(ONLY_GET),
        }
        let has_token = self.has_token(uri, headers);
        let host = one(headers, HOST.as_str()).ok_or(STRANGE_HOST)?;
        let is_by_proxy = self.is_proxied && has_token && headers.contains_key(PROXY_PATH);
        if !self.knows(host) && !is_by_proxy {
            return Err(STRANGE_HOST);
        }
        if headers.contains_key(ORIGIN) && !one(headers, ORIGIN.as_str()).is_some_and(|origin| is_of(origin, host)) {
            return Err(STRANGE_ORIGIN);
        }
        if *method == Method::POST && !headers.contains_key(ORIGIN) {
            return Err(NO_ORIGIN);
        }
        match (has_token, self.has_cookie(headers)) {
            (true, _) => Ok(Way::Token),
            (false, true) => Ok(Way::Cookie),
            (false, false) => Err(NO_TOKEN),
        }
    }

    /// Whether this `Host` cannot be another site's name. An address of numbers cannot: nobody but its machine answers there.
    fn knows(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        is_address || name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(&self.host)
    }

    fn has_token(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
        let in_address = pairs.filter_map(|pair| pair.strip_prefix("token=")).any(|token| self.token.is(token));
        let said = one(headers, AUTHORIZATION.as_str()).and_then(|said| said.split_once(' '));
        let in_header = said.is_some_and(|(scheme, token)| {
            ["token", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) && self.token.is(token)
        });
        in_address || in_header
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.cookie_name).any(|(_, value)| self.cookie.is(value))
    }
}

/// A header's value, if it is there once and is text.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn is_of(origin: &str, host: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let (token, cookie) = (Secret::new().unwrap(), Secret::new().unwrap());
        Guard { token, cookie, cookie_name: "mobula-1234".into(), host: "127.0.0.1".into(), is_proxied: false }
    }

    fn asked(guard: &Guard, uri: &str, headers: &[(&str, &str)]) -> Result<Way, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        guard.admit(&Method::GET, &uri.parse().unwrap(), &map).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn the_token_lets_in_from_the_address_and_from_a_header() {
        let guard = guard();
        let token = guard.token.digits();
        let host = ("host", "127.0.0.1:1234");
        assert_eq!(asked(&guard, &format!("/?token={token}"), &[host]), Ok(Way::Token));
        assert_eq!(asked(&guard, &format!("/?a=b&token={token}"), &[host]), Ok(Way::Token));
        for said in [format!("token {token}"), format!("Bearer {token}")] {
            assert_eq!(asked(&guard, "/", &[host, ("authorization", &said)]), Ok(Way::Token));
        }
        assert_eq!(asked(&guard, "/", &[host]), Err(401));
        assert_eq!(asked(&guard, "/?token=", &[host]), Err(401));
        assert_eq!(asked(&guard, &format!("/?token={token}0"), &[host]), Err(401));
    }

    #[test]
    fn the_cookie_lets_in_and_the_token_is_no_cookie() {
        let guard = guard();
        let host = ("host", "localhost:1234");
        let cookie = format!("other=1; mobula-1234={}", guard.cookie.digits());
        assert_eq!(asked(&guard, "/api", &[host, ("cookie", &cookie)]), Ok(Way::Cookie));
        let wrong = format!("mobula-1234={}", guard.token.digits());
        assert_eq!(asked(&guard, "/api", &[host, ("cookie", &wrong)]), Err(401));
        let elsewhere = format!("mobula-99={}", guard.cookie.digits());
        assert_eq!(asked(&guard, "/api", &[host, ("cookie", &elsewhere)]), Err(401));
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused_even_with_the_token() {
        let guard = guard();
        let uri = format!("/?token={}", guard.token.digits());
        for host in ["evil.example", "evil.example:1234", "127.0.0.1.evil.example", "", "localhost.evil.example"] {
            assert_eq!(asked(&guard, &uri, &[("host", host)]), Err(403), "{host}");
        }
        assert_eq!(asked(&guard, &uri, &[]), Err(403));
        assert_eq!(asked(&guard, &uri, &[("host", "localhost"), ("host", "localhost")]), Err(403));
        for host in ["localhost", "LOCALHOST:1234", "127.0.0.1:1234", "[::1]:1234", "10.0.0.7:1234"] {
            assert_eq!(asked(&guard, &uri, &[("host", host)]), Ok(Way::Token), "{host}");
        }
    }

    #[test]
    fn behind_a_jupyter_server_the_name_is_its_own_and_the_token_is_needed() {
        let guard = Guard { is_proxied: true, ..guard() };
        let uri = format!("/?token={}", guard.token.digits());
        let (host, path) = (("host", "hub.example"), ("x-proxycontextpath", "/user/a/proxy/1234"));
        assert_eq!(asked(&guard, &uri, &[host, path]), Ok(Way::Token));
        assert_eq!(asked(&guard, &uri, &[host]), Err(403));
        let cookie = format!("mobula-1234={}", guard.cookie.digits());
        assert_eq!(asked(&guard, "/", &[host, path, ("cookie", &cookie)]), Err(403));
    }

    #[test]
    fn a_page_of_another_site_is_not_answered() {
        let guard = guard();
        let uri = format!("/?token={}", guard.token.digits());
        let host = ("host", "localhost:1234");
        for origin in ["http://evil.example", "null", "http://localhost:8888", "localhost:1234", "ftp://localhost:1234"]
        {
            assert_eq!(asked(&guard, &uri, &[host, ("origin", origin)]), Err(403), "{origin}");
        }
        assert_eq!(asked(&guard, &uri, &[host, ("origin", "http://localhost:1234")]), Ok(Way::Token));
    }

    #[test]
    fn a_stack_is_asked_for_by_post_from_this_page_alone() {
        let guard = guard();
        let uri = format!("{STACK}?token={}", guard.token.digits());
        let asked = |method: Method, uri: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "localhost:1234".parse().unwrap());
            origin.map(|origin| headers.insert("origin", origin.parse().unwrap()));
            guard.admit(&method, &uri.parse().unwrap(), &headers).map_err(|refusal| refusal.status.as_u16())
        };
        let own = Some("http://localhost:1234");
        assert_eq!(asked(Method::POST, &uri, own), Ok(Way::Token));
        for origin in [None, Some("http://evil.example"), Some("null"), Some("http://localhost:8888")] {
            assert_eq!(asked(Method::POST, &uri, origin), Err(403), "{origin:?}");
        }
        assert_eq!(asked(Method::POST, STACK, own), Err(401));
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(asked(method.clone(), &uri, own), Err(405), "{method}");
        }
        for path in ["/", "/api/status", "/api/stack/", "/api/stack2"] {
            assert_eq!(asked(Method::POST, &uri.replace(STACK, path), own), Err(405), "{path}");
        }
    }

    #[test]
    fn nothing_but_reading_is_allowed_elsewhere() {
        let guard = guard();
        let uri = format!("/?token={}", guard.token.digits()).parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::CONNECT] {
            assert_eq!(guard.admit(&method, &uri, &headers), Err(ONLY_GET), "{method}");
        }
        assert!(guard.admit(&Method::HEAD, &uri, &headers).is_ok());
    }
}
