/// What stands in the place of a password.
const HIDDEN: &str = "…";

/// What may be said of a query only by name.
const SECRET: [&str; 7] = ["password", "pass", "credential", "token", "secret", "key", "auth"];

/// Schemes that servers are named with, which need no `//`.
const SCHEMES: [&str; 8] = ["stun", "stuns", "turn", "turns", "ws", "wss", "http", "https"];

/// An address as it may be printed or logged: without the password of its user, and without the passwords and tokens of its
/// query. What has neither stays as it is, and so does what is no address.
///
/// ```
/// use remotemedia_media::without_password;
///
/// assert_eq!(without_password("wss://bob:hunter2@example.com/signal?room=a"), "wss://bob:…@example.com/signal?room=a");
/// assert_eq!(without_password("turn:bob:hunter2@example.com:3478"), "turn:bob:…@example.com:3478");
/// assert_eq!(without_password("ws://localhost:8080/?token=abc"), "ws://localhost:8080/?token=…");
/// ```
pub fn without_password(address: &str) -> String {
    let begin = authority(address);
    let rest = &address[begin..];
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // A password with a slash in it is no part of an address, and still a password. After a port there is none.
    let at = host.rfind('@').or_else(|| rest.rfind('@').filter(|_| !ends_with_port(host)));
    let (user, tail) = rest.split_at(at.unwrap_or(0));
    let mut shown = address[..begin].to_owned();
    match user.split_once(':') {
        Some((name, _)) => shown.extend([name, ":", HIDDEN]),
        None => shown.push_str(user),
    }
    let (place, query) = tail.split_once('?').unwrap_or((tail, ""));
    shown.push_str(place);
    for (n, part) in query.split('&').filter(|_| place.len() < tail.len()).enumerate() {
        shown.push(if n == 0 { '?' } else { '&' });
        match part.split_once('=') {
            Some((name, value)) if !value.is_empty() && SECRET.contains(&name.to_ascii_lowercase().as_str()) => {
                shown.extend([name, "=", HIDDEN]);
            }
            _ => shown.push_str(part),
        }
    }
    shown
}

/// Where user, host and port begin.
fn authority(address: &str) -> usize {
    if let Some(slashes) = address.find("://") {
        return slashes + 3;
    }
    let scheme = address.split_once(':').filter(|(scheme, _)| SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()));
    scheme.map_or(0, |(scheme, _)| scheme.len() + 1)
}

fn ends_with_port(host: &str) -> bool {
    let port = host.rsplit_once(':').map(|(_, port)| port);
    host.starts_with('[') || port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_however_they_are_written() {
        for (address, shown) in [
            ("ws://bob:s3cret@host:1/", "ws://bob:…@host:1/"),
            ("ws://:s3cret@host", "ws://:…@host"),
            ("http://bob:s3cret@[::1]:80", "http://bob:…@[::1]:80"),
            ("ws://bob:s3/cr?et@host:1/signal", "ws://bob:…@host:1/signal"),
            ("ws://bob:s3@cret@host", "ws://bob:…@host"),
            ("bob:s3cret@host:8080", "bob:…@host:8080"),
            ("stun:bob:s3cret@host:3478", "stun:bob:…@host:3478"),
            ("TURN:bob:s3cret@host?transport=tcp", "TURN:bob:…@host?transport=tcp"),
            ("turn:host?credential=s3cret&transport=udp", "turn:host?credential=…&transport=udp"),
            ("wss://host/a?Token=s3cret", "wss://host/a?Token=…"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }

    #[test]
    fn what_has_no_password_stays_as_it_is() {
        for address in [
            "",
            "ws://localhost:8080/",
            "localhost:8080",
            "wss://example.com/rooms?name=a&b#c",
            "ws://host:80/a@b",
            "ws://[::1]:80/a@b",
            "ws://bob@host",
            "turn:host:3478?transport=udp",
            "stun:[2001:db8::1]:3478",
            "wss://host/?token=",
            "ws://host/?",
        ] {
            assert_eq!(without_password(address), address);
        }
    }
}
