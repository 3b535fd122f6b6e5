//! Values of an HTML page by CSS selector: an attribute or the text of the elements that match. The
//! page is streamed, never kept as a tree, and what is hostile in it has a bound.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use lol_html::html_content::{Element, TextChunk};
use lol_html::{ElementContentHandlers, HtmlRewriter, MemorySettings, Selector, Settings};

/// What is looked for.
#[derive(Debug)]
pub struct Css {
    selector: Selector,
    /// This attribute; `None`: the text inside.
    attribute: Option<String>,
}

/// More elements are not taken.
const MOST: usize = 10_000;

/// The parser may need so much for elements that are never closed.
const MEMORY: usize = 8 << 20;

impl Css {
    /// Reads `SELECTOR` or `SELECTOR @ATTRIBUTE`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (selector, attribute) = match text.rsplit_once(char::is_whitespace) {
            Some((selector, last)) if last.starts_with('@') => (selector.trim(), Some(&last[1..])),
            Some(_) | None => (text, None),
        };
        if attribute.is_some_and(str::is_empty) {
            return Err("`@` needs the name of an attribute: `css a.next @href`".to_owned());
        }
        let parsed: Selector = selector
            .parse()
            .map_err(|error| format!("`{selector}` is not a CSS selector: {error}"))?;
        Ok(Self { selector: parsed, attribute: attribute.map(str::to_lowercase) })
    }

    /// Returns the values of the elements that match, in their order, `most` at most.
    pub fn find(&self, page: &str, most: usize) -> Vec<String> {
        let found = Rc::new(RefCell::new(Found::default()));
        let most = most.min(MOST);
        let handlers = match &self.attribute {
            Some(name) => by_attribute(name.clone(), most, &found),
            None => by_text(most, &found),
        };
        let memory = MemorySettings { max_allowed_memory_usage: MEMORY, ..MemorySettings::new() };
        let settings = Settings {
            element_content_handlers: vec![(Cow::Borrowed(&self.selector), handlers)],
            memory_settings: memory,
            strict: false,
            ..Settings::new()
        };
        let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
        // It ends with an error as soon as enough was found, or where the page is no longer one:
        // what was found until then counts.
        if rewriter.write(page.as_bytes()).is_ok() {
            drop(rewriter.end());
        }
        let mut found = found.borrow_mut();
        let mut values = std::mem::take(&mut found.values);
        values.truncate(most);
        values
    }
}

#[derive(Default)]
struct Found {
    values: Vec<String>,
    /// The matching elements that are open, by their number.
    open: Vec<usize>,
}

type Handled = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Ends the parsing.
fn enough() -> Handled {
    Err("enough was found".into())
}

fn by_attribute<'h>(
    name: String,
    most: usize,
    found: &Rc<RefCell<Found>>,
) -> ElementContentHandlers<'h> {
    let found = Rc::clone(found);
    ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| {
        let mut found = found.borrow_mut();
        found.values.extend(element.get_attribute(&name).map(|value| decoded(value.trim())));
        if found.values.len() >= most { enough() } else { Ok(()) }
    })
}

fn by_text<'h>(most: usize, found: &Rc<RefCell<Found>>) -> ElementContentHandlers<'h> {
    let (begun, inside) = (Rc::clone(found), Rc::clone(found));
    ElementContentHandlers::default()
        .element(move |element: &mut Element<'_, '_>| {
            let number = {
                let mut found = begun.borrow_mut();
                if found.values.len() >= most {
                    // The last one wanted may still be open around this one.
                    return if found.open.is_empty() { enough() } else { Ok(()) };
                }
                found.values.push(String::new());
                found.values.len() - 1
            };
            if let Some(handlers) = element.end_tag_handlers() {
                begun.borrow_mut().open.push(number);
                let ended = Rc::clone(&begun);
                handlers.push(Box::new(move |_| {
                    let mut found = ended.borrow_mut();
                    found.open.retain(|open| *open != number);
                    if let Some(value) = found.values.get_mut(number) {
                        *value = decoded(&value.split_whitespace().collect::<Vec<_>>().join(" "));
                    }
                    let is_enough = found.values.len() >= most && found.open.is_empty();
                    if is_enough { enough() } else { Ok(()) }
                }));
            }
            Ok(())
        })
        .text(move |chunk: &mut TextChunk<'_>| {
            let mut found = inside.borrow_mut();
            let open = found.open.clone();
            for number in open {
                if let Some(value) = found.values.get_mut(number) {
                    value.push_str(chunk.as_str());
                }
            }
            Ok(())
        })
}

/// Replaces the character references that pages really have; others stay as they are.
fn decoded(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, reference) = rest.split_at(at);
        decoded.push_str(before);
        let end = reference.find(';').filter(|end| *end <= 10);
        let meant = end.and_then(|end| character(&reference[1..end]).zip(Some(end)));
        if let Some((character, end)) = meant {
            decoded.push(character);
            rest = &reference[end + 1..];
        } else {
            decoded.push('&');
            rest = &reference[1..];
        }
    }
    decoded.push_str(rest);
    decoded
}

fn character(name: &str) -> Option<char> {
    const KNOWN: [(&str, char); 6] =
        [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", '\u{a0}')];
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32);
    }
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, character)| *character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = "<!doctype html><html><body>\
        <form><input type=hidden name=csrf value='a&amp;b'></form>\
        <ul class=\"list big\"><li id=one><b>Yoga</b> Mat\n &pound;5</li><li>Red<li>Blue</ul>\
        <div class=x>outer <div class=x>inner</div> after</div>\
        <a class=next href=\"/p/2?a=1&#38;b=2\">next</a><img class=x src=i.png></body></html>";

    #[track_caller]
    fn check(css: &str, expected: &[&str]) {
        assert_eq!(Css::parse(css).unwrap().find(PAGE, 100), expected, "{css}");
    }

    #[test]
    fn attributes_and_texts_are_found_where_the_selector_points() {
        check("input[name=csrf] @value", &["a&b"]);
        check("a.next @href", &["/p/2?a=1&b=2"]);
        check("#one", &["Yoga Mat &pound;5"]);
        check("ul.big > li b", &["Yoga"]);
        check("div.x", &["outer inner after", "inner"]);
        check("p", &[]);
        check("a @missing", &[]);
        let first = |css: &str| Css::parse(css).unwrap().find(PAGE, 1);
        assert_eq!(first("div.x"), ["outer inner after"]);
        assert_eq!(first("li @id"), ["one"]);
        for wrong in ["", "a[", "a @", "a:hover", "@href"] {
            assert!(Css::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_that_never_ends_an_element_is_bounded() {
        let css = Css::parse("b").unwrap();
        let deep = "<b>x".repeat(200_000);
        assert!(css.find(&deep, 3).len() <= 3);
        let wide = "<b>x</b>".repeat(50_000);
        assert_eq!(css.find(&wide, usize::MAX).len(), MOST);
    }

    proptest! {
        #[test]
        fn no_page_breaks_it(page in "[<>/a-c \"'=&;!-]{0,200}") {
            for css in ["a", "b > a @c", "[a='b'] c"] {
                Css::parse(css).unwrap().find(&page, 5);
            }
        }
    }
}
