//! Finds the tenant that a message probably means, where no tenant of its `tenant_id` has a connection.

use crate::batch::TenantId;

/// Returns the one of `known` that is written almost like `unknown`: with other cases, with other separators, or with a
/// typing error in a word of at least four characters.
pub fn similar<'a>(unknown: &TenantId, known: &'a [TenantId]) -> Option<&'a TenantId> {
    let wanted = folded(unknown);
    let others = || known.iter().filter(|tenant| *tenant != unknown);
    others().find(|tenant| folded(tenant) == wanted).or_else(|| {
        let mut close = others().filter(|tenant| wanted.len() >= 4 && is_one_change(&wanted, &folded(tenant)));
        // Of several, none is more likely than the others.
        close.next().filter(|_| close.next().is_none())
    })
}

/// Tenant ids are ASCII.
fn folded(tenant: &TenantId) -> Vec<u8> {
    tenant.as_str().bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// Returns whether one character was left out, added or replaced, or two neighbours were swapped.
fn is_one_change(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let (short_rest, long_rest) = (&short[same..], &long[same..]);
    match long.len() - short.len() {
        0 => {
            let swapped = short_rest.len() >= 2
                && short_rest[0] == long_rest[1]
                && short_rest[1] == long_rest[0]
                && short_rest[2..] == long_rest[2..];
            swapped || (!short_rest.is_empty() && short_rest[1..] == long_rest[1..])
        }
        1 => *short_rest == long_rest[1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_is_written_almost_alike_is_found_and_no_other() {
        let known: Vec<TenantId> =
            ["acme", "acme.eu", "birch", "oak", "north-1", "north-2"].map(|id| TenantId::new(id).unwrap()).into();
        for (text, meant) in [
            ("ACME", Some("acme")),
            ("acme-eu", Some("acme.eu")),
            ("bich", Some("birch")),
            ("birhc", Some("birch")),
            ("birsh", Some("birch")),
            ("birchh", Some("birch")),
            ("oax", None),
            ("north-3", None),
            ("elm", None),
            ("birch", None),
        ] {
            let found = similar(&TenantId::new(text).unwrap(), &known).map(TenantId::as_str);
            assert_eq!(found, meant, "{text}");
        }
    }
}
