//! Reads a day the way people write it.

use jiff::civil::Date;

use crate::testmo::unquoted;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads a day that begins with the year or names its month. Where day and month could be confused, the person has to write it
/// again.
///
/// # Errors
/// When the text is not such a day; the error shows how to write it.
pub fn read_day(text: &str) -> Result<Date, String> {
    let text = unquoted(text);
    if let Ok(day) = text.parse() {
        return Ok(day);
    }
    let parts: Vec<&str> = text.split(['.', '/', '-', ' ', ',']).filter(|part| !part.is_empty()).collect();
    let [first, second, third] = parts.as_slice() else { return Err(unreadable(text, &[])) };
    let read = match (number(first), number(second), number(third)) {
        (Some(year), Some(month), Some(day)) if first.len() == 4 => date(year, month, day),
        (Some(one), Some(other), Some(year)) if third.len() == 4 => {
            let meant = [date(year, other, one), date(year, one, other)];
            return Err(unreadable(text, &meant.into_iter().flatten().collect::<Vec<_>>()));
        }
        (Some(day), None, Some(year)) if third.len() == 4 => month(second).and_then(|month| date(year, month, day)),
        (None, Some(day), Some(year)) if third.len() == 4 => month(first).and_then(|month| date(year, month, day)),
        _ => None,
    };
    read.ok_or_else(|| unreadable(text, &[]))
}

fn number(text: &str) -> Option<i16> {
    text.parse().ok().filter(|number| *number > 0)
}

/// Returns the number of a month by its English name or the first three letters of it.
fn month(name: &str) -> Option<i16> {
    let name = name.to_ascii_lowercase();
    let found = MONTHS.iter().zip(1..).find(|(short, _)| name.starts_with(**short));
    found.map(|(_, number)| number)
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

fn unreadable(text: &str, meant: &[Date]) -> String {
    let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    let mut days: Vec<String> = meant.iter().map(Date::to_string).collect();
    days.dedup();
    match days.as_slice() {
        [] => format!("`{shown}` is not a date. Write the day as 2027-12-31."),
        days => format!("`{shown}` is not a date. Write the day as {}.", days.join(" or as ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_where_day_and_month_cannot_be_confused() {
        for text in [
            "2027-12-31",
            " 2027/12/31 ",
            "2027.12.31",
            "20271231",
            "31 Dec 2027",
            "31. December 2027",
            "Dec 31, 2027",
            "\"2027-12-31\"",
        ] {
            assert_eq!(read_day(text).map(|day| day.to_string()), Ok("2027-12-31".into()), "{text}");
        }
    }

    #[test]
    fn a_day_that_cannot_be_read_is_answered_with_how_to_write_it() {
        for (text, told) in [
            ("31.12.2027", "`31.12.2027` is not a date. Write the day as 2027-12-31."),
            ("12/31/2027", "Write the day as 2027-12-31."),
            ("05/06/2027", "Write the day as 2027-06-05 or as 2027-05-06."),
            ("06/06/2027", "Write the day as 2027-06-06."),
            ("2027-02-30", "Write the day as 2027-12-31."),
            ("soon", "`soon` is not a date."),
            ("31 Foo 2027", "Write the day as 2027-12-31."),
            ("a\u{1b}[2J", "`a\\u{1b}[2J` is not a date."),
            ("", "Write the day as 2027-12-31."),
        ] {
            let refused = read_day(text).unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }
}
