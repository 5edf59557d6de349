//! Turns a value as people write it into the one that a field of its kind takes.
//!
//! A name that is the name of one option becomes its id, and a common word for yes or no becomes true or false. What cannot
//! be turned is left as it is written, and Testmo decides.

use std::borrow::Cow;

use jiff::civil::Date;
use serde_json::{Number, Value};

use super::catalogue::{FieldKind, Item};

/// Returns a value as a field of this kind, with these options, takes it.
pub(super) fn typed<'a>(value: &'a Value, kind: FieldKind, options: &[Item]) -> Cow<'a, Value> {
    let typed = match kind {
        FieldKind::Dropdown => single(value, options),
        FieldKind::MultiSelect => several(value, options),
        FieldKind::Checkbox => checked(value).map(Value::Bool),
        FieldKind::Date => value.as_str().and_then(day).map(|day| Value::String(day.to_string())),
        FieldKind::Number => value.as_str().and_then(number).map(Value::Number),
        FieldKind::RichText | FieldKind::Steps | FieldKind::Link | FieldKind::Plain | FieldKind::Unknown => None,
    };
    typed.map_or(Cow::Borrowed(value), Cow::Owned)
}

/// Returns whether a field of this kind, with these options, takes a value as it is. An empty list of options says nothing.
pub(super) fn fits(value: &Value, kind: FieldKind, options: &[Item]) -> bool {
    let is_option =
        |value: &Value| value.as_u64().is_some_and(|id| options.is_empty() || options.iter().any(|one| one.id == id));
    match (kind, value) {
        (_, Value::Null) => true,
        (FieldKind::Dropdown, value) => is_option(value),
        (FieldKind::MultiSelect, value) => value.as_array().is_some_and(|values| values.iter().all(is_option)),
        (FieldKind::Checkbox, value) => value.is_boolean(),
        (FieldKind::Date, value) => value.as_str().is_some_and(|text| text.parse::<Date>().is_ok() && text.len() == 10),
        (FieldKind::Number, value) => value.is_number(),
        (FieldKind::RichText | FieldKind::Link | FieldKind::Plain | FieldKind::Steps | FieldKind::Unknown, _) => true,
    }
}

/// Returns the option that a name is the name of, or the only one that differs from it just in upper and lower case.
pub(super) fn option<'a>(name: &str, options: &'a [Item]) -> Option<&'a Item> {
    only(options, |item| item.name.trim() == name.trim()).or_else(|| {
        let folded = name.trim().to_lowercase();
        only(options, |item| item.name.trim().to_lowercase() == folded)
    })
}

fn only(options: &[Item], is_meant: impl Fn(&Item) -> bool) -> Option<&Item> {
    let mut found = options.iter().filter(|item| is_meant(item));
    found.next().filter(|_| found.next().is_none())
}

/// Returns the id that a value names: a name, digits, or an object with the id as Testmo's answers show it.
fn id(value: &Value, options: &[Item]) -> Option<u64> {
    match value {
        Value::String(text) => option(text, options).map(|item| item.id).or_else(|| {
            let id = text.trim().parse().ok()?;
            options.iter().any(|item| item.id == id).then_some(id)
        }),
        Value::Object(members) => match members.get("id") {
            Some(id) => id.as_u64(),
            None => option(members.get("name")?.as_str()?, options).map(|item| item.id),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn single(value: &Value, options: &[Item]) -> Option<Value> {
    if let Some([only]) = value.as_array().map(Vec::as_slice) {
        return Some(single(only, options).unwrap_or_else(|| only.clone()));
    }
    id(value, options).map(Value::from)
}

fn several(value: &Value, options: &[Item]) -> Option<Value> {
    let one = |value: &Value| id(value, options).map_or_else(|| value.clone(), Value::from);
    if let Some(values) = value.as_array() {
        let typed: Value = values.iter().map(one).collect();
        return (typed != *value).then_some(typed);
    }
    (!value.is_null()).then(|| Value::Array(vec![one(value)]))
}

/// Reads a common word or number for yes or no.
fn checked(value: &Value) -> Option<bool> {
    match value {
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" | "x" | "checked" => Some(true),
            "false" | "no" | "n" | "off" | "0" | "unchecked" => Some(false),
            _ => None,
        },
        Value::Number(number) => match number.as_u64() {
            Some(1) => Some(true),
            Some(0) => Some(false),
            Some(_) | None => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads a day: `2026-11-30`, also with a time after it or other separators, or `30.11.2026`. A day that begins with the
/// month in some countries is not read.
fn day(text: &str) -> Option<Date> {
    let text = text.trim();
    let date = text.split(['T', ' ']).next()?;
    let parts = |separator| {
        let parts: Vec<i16> = date.split(separator).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        <[i16; 3]>::try_from(parts).ok()
    };
    let (year, month, day) = match (parts('-'), parts('/'), parts('.')) {
        (Some([year, month, day]), ..) | (_, Some([year, month, day]), _) => (year, month, day),
        (.., Some([day, month, year])) if year > 999 => (year, month, day),
        (.., Some([year, month, day])) => (year, month, day),
        (None, None, None) => return None,
    };
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
    date.filter(|date| (1_000..=9_999).contains(&date.year()))
}

/// Reads a number as JSON writes it.
fn number(text: &str) -> Option<Number> {
    serde_json::from_str(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options() -> Vec<Item> {
        let item = |(id, name): (u64, &str)| Item { id, name: name.into() };
        [(11, "Payments"), (12, "Login "), (13, "Twin"), (14, "twin"), (15, "12"), (16, "High")].map(item).into()
    }

    #[test]
    fn a_value_becomes_what_its_field_takes_and_what_cannot_stays_as_it_is() {
        use FieldKind::{Checkbox, Date, Dropdown, Link, MultiSelect, Number, Plain, RichText, Unknown};
        for (kind, written, expected) in [
            (Dropdown, json!("Payments"), json!(11)),
            (Dropdown, json!(" payments "), json!(11)),
            (Dropdown, json!(["Login"]), json!(12)),
            (Dropdown, json!([12]), json!(12)),
            (Dropdown, json!({"id": 12, "name": "Login"}), json!(12)),
            (Dropdown, json!({"name": "login"}), json!(12)),
            (Dropdown, json!("Twin"), json!(13)),
            (Dropdown, json!("TWIN"), json!("TWIN")),
            (Dropdown, json!("12"), json!(15)),
            (Dropdown, json!("16"), json!(16)),
            (Dropdown, json!("99"), json!("99")),
            (Dropdown, json!("Pay"), json!("Pay")),
            (Dropdown, json!(["Login", "High"]), json!(["Login", "High"])),
            (Dropdown, json!(null), json!(null)),
            (MultiSelect, json!(["Payments", 12, {"id": 16, "name": "High"}]), json!([11, 12, 16])),
            (MultiSelect, json!("High"), json!([16])),
            (MultiSelect, json!(12), json!([12])),
            (MultiSelect, json!(["Payments", "Pay"]), json!([11, "Pay"])),
            (MultiSelect, json!([]), json!([])),
            (MultiSelect, json!(null), json!(null)),
            (Checkbox, json!("Yes"), json!(true)),
            (Checkbox, json!("off"), json!(false)),
            (Checkbox, json!(1), json!(true)),
            (Checkbox, json!(false), json!(false)),
            (Checkbox, json!("maybe"), json!("maybe")),
            (Checkbox, json!(2), json!(2)),
            (Date, json!("2026-11-30"), json!("2026-11-30")),
            (Date, json!("2026-11-30T10:00:00Z"), json!("2026-11-30")),
            (Date, json!("2026-1-5 10:00"), json!("2026-01-05")),
            (Date, json!("2026/11/30"), json!("2026-11-30")),
            (Date, json!("30.11.2026"), json!("2026-11-30")),
            (Date, json!("11/30/2026"), json!("11/30/2026")),
            (Date, json!("2026-02-30"), json!("2026-02-30")),
            (Date, json!("soon"), json!("soon")),
            (Number, json!(" -2.5 "), json!(-2.5)),
            (Number, json!("7"), json!(7)),
            (Number, json!("seven"), json!("seven")),
            (Link, json!("https://shop.example/?a=1&b=2"), json!("https://shop.example/?a=1&b=2")),
            (Plain, json!("High"), json!("High")),
            (RichText, json!("High"), json!("High")),
            (Unknown, json!("High"), json!("High")),
        ] {
            assert_eq!(*typed(&written, kind, &options()), expected, "{kind:?} {written}");
        }
    }

    #[test]
    fn a_value_that_a_field_does_not_take_is_noticed() {
        use FieldKind::{Checkbox, Date, Dropdown, MultiSelect, Number, Plain};
        for (kind, value, is_right) in [
            (Dropdown, json!(11), true),
            (Dropdown, json!(17), false),
            (Dropdown, json!("Pay"), false),
            (MultiSelect, json!([11, 12]), true),
            (MultiSelect, json!([11, 17]), false),
            (MultiSelect, json!(11), false),
            (Checkbox, json!(true), true),
            (Checkbox, json!("maybe"), false),
            (Date, json!("2026-11-30"), true),
            (Date, json!("11/30/2026"), false),
            (Date, json!(7), false),
            (Number, json!(7), true),
            (Number, json!("seven"), false),
            (Number, json!(null), true),
            (Plain, json!(7), true),
        ] {
            assert_eq!(fits(&value, kind, &options()), is_right, "{kind:?} {value}");
        }
        assert!(fits(&json!(99), Dropdown, &[]), "no list says nothing");
    }

    proptest::proptest! {
        #[test]
        fn a_value_is_turned_only_once(text in "\\PC{0,12}|[0-9./T-]{0,12}|High|payments|12|yes") {
            use FieldKind::{Checkbox, Date, Dropdown, MultiSelect, Number};
            let value = Value::String(text);
            for kind in [Dropdown, MultiSelect, Checkbox, Date, Number] {
                let once = typed(&value, kind, &options()).into_owned();
                proptest::prop_assert_eq!(&*typed(&once, kind, &options()), &once);
            }
        }
    }
}
