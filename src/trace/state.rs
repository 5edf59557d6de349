//! Checks the header `tracestate`, and shortens one that is too long to be handed on.

/// The most entries of a list.
const MOST_MEMBERS: usize = 32;
/// The most bytes of a list that are handed on; every receiver has to take as many.
const LONGEST_LIST: usize = 512;
/// Entries with more bytes than this are the first to be left out of a list that is too long.
const LONG_MEMBER: usize = 128;

/// Returns a list as it is handed on: without empty entries, and with as many of its entries as fit. Nothing if it is empty or
/// breaks the specification: then none of it can be relied on.
pub(super) fn checked(header: &str) -> Option<String> {
    let members: Vec<&str> = header.split(',').map(|member| member.trim_matches([' ', '\t'])).collect();
    let members: Vec<&str> = members.into_iter().filter(|member| !member.is_empty()).collect();
    if members.is_empty() || members.len() > MOST_MEMBERS {
        return None;
    }
    for (place, member) in members.iter().enumerate() {
        let (key, value) = member.split_once('=')?;
        let is_repeated = members[..place].iter().any(|other| other.split_once('=').is_some_and(|(of, _)| of == key));
        if is_repeated || !is_key(key) || !is_value(value) {
            return None;
        }
    }
    let kept = shortened(members);
    (!kept.is_empty()).then(|| kept.join(","))
}

/// Leaves out long entries, and then the last ones, until the rest is short enough.
fn shortened(mut members: Vec<&str>) -> Vec<&str> {
    let length = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1);
    while length(&members) > LONGEST_LIST {
        match members.iter().rposition(|member| member.len() > LONG_MEMBER) {
            Some(long) => drop(members.remove(long)),
            None => drop(members.pop()),
        }
    }
    members
}

/// Returns whether a text is a key: a name, or a tenant's name and a system's name around an `@`.
fn is_key(key: &str) -> bool {
    let is_name = |name: &str, most: usize, may_begin_with_digit: bool| {
        let begins = |first: u8| first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit());
        let fits = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"_-*/".contains(&letter);
        name.len() <= most && name.bytes().next().is_some_and(begins) && name.bytes().all(fits)
    };
    match key.split_once('@') {
        None => is_name(key, 256, false),
        Some((tenant, system)) => is_name(tenant, 241, true) && is_name(system, 14, false),
    }
}

/// Returns whether a text is a value: printable, without a comma or an equals sign, and not ending with a blank.
fn is_value(value: &str) -> bool {
    let fits = |letter: u8| (b' '..=b'~').contains(&letter) && letter != b',' && letter != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(fits) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_handed_on_only_if_all_of_it_is_right() {
        let (longest_key, longest_value) = (format!("k{}", "x".repeat(255)), "v".repeat(256));
        let table = [
            ("rojo=00f067aa0ba902b7", Some("rojo=00f067aa0ba902b7")),
            ("rojo=1,congo=t61rcWkgMzE", Some("rojo=1,congo=t61rcWkgMzE")),
            (" rojo=1 ,\t, congo=2 ", Some("rojo=1,congo=2")),
            ("fw529a3039@dt=FfCA,0t@s=1", Some("fw529a3039@dt=FfCA,0t@s=1")),
            ("a_-*/0=!~ x", Some("a_-*/0=!~ x")),
            ("", None),
            (" , ", None),
            ("rojo", None),
            ("=1", None),
            ("rojo=", None),
            ("Rojo=1", None),
            ("0rojo=1", None),
            ("a@b@c=1", None),
            ("a@0b=1", None),
            ("@a=1", None),
            ("a@=1", None),
            ("a b=1", None),
            ("a=b=c", None),
            ("a=é", None),
            ("a=\u{7f}", None),
            ("a=1,a=2", None),
            ("a=1,b", None),
        ];
        for (header, expected) in table {
            assert_eq!(checked(header).as_deref(), expected, "{header:?}");
        }
        assert!(checked(&format!("{longest_key}=1")).is_some() && checked(&format!("{longest_key}x=1")).is_none());
        assert!(checked(&format!("a={longest_value}")).is_some() && checked(&format!("a={longest_value}v")).is_none());
        let (tenant, system) = ("t".repeat(241), "s".repeat(14));
        assert!(checked(&format!("{tenant}@{system}=1")).is_some());
        assert!(
            checked(&format!("{tenant}t@{system}=1")).is_none() && checked(&format!("{tenant}@{system}s=1")).is_none()
        );
    }

    #[test]
    fn a_list_has_at_most_32_entries() {
        let list = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        assert_eq!(checked(&list(32)), Some(list(32)));
        assert_eq!(checked(&list(33)), None);
    }

    #[test]
    fn long_entries_and_then_the_last_ones_are_left_out_of_a_long_list() {
        let long = |key: &str| format!("{key}={}", "v".repeat(250));
        let short = |key: &str| format!("{key}={}", "v".repeat(100));
        let header = [short("a"), long("b"), short("c"), long("d"), short("e")].join(",");
        assert_eq!(checked(&header), Some([short("a"), short("c"), short("e")].join(",")), "the long ones go");
        let header = ["a", "b", "c", "d", "e", "f"].map(short).join(",");
        assert_eq!(checked(&header), Some(["a", "b", "c", "d"].map(short).join(",")), "the last ones go");
    }

    proptest! {
        #[test]
        fn whatever_is_handed_on_is_right_and_stays_as_it_is(header in "[a-z0-9@=, _*/\\t~A-Zé-]{0,700}") {
            if let Some(kept) = checked(&header) {
                prop_assert!(kept.len() <= LONGEST_LIST && kept.is_ascii());
                prop_assert_eq!(checked(&kept), Some(kept.clone()));
            }
        }

        #[test]
        fn a_right_list_keeps_its_order(keys in prop::collection::hash_set("[a-z][a-z0-9]{0,5}", 1..20)) {
            let list = keys.into_iter().map(|key| format!("{key}=v")).collect::<Vec<_>>().join(",");
            prop_assert_eq!(checked(&list), Some(list));
        }
    }
}
