//! The other dimensions of the matrix: features and profiles, as `--matrix` names them.
//!
//! `tool=asan,tracer × features=default,all,a+b × profile=dev,release`: each dimension once, `×` or a lone
//! `x` between them. What is left out is not varied.

use std::ffi::OsString;

use super::tools::Tool;

/// What is varied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dimensions {
    /// Instead of `--with`.
    pub(crate) tools: Vec<Tool>,
    pub(super) features: Vec<String>,
    pub(super) profiles: Vec<String>,
}

/// One choice of features and profile; nothing where they are not varied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variant {
    features: Option<String>,
    profile: Option<String>,
}

impl std::str::FromStr for Dimensions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut dimensions = Self::default();
        let text = text.replace(" x ", " × ");
        for part in text.split('×') {
            let (name, values) = part
                .split_once('=')
                .ok_or_else(|| format!("`{}`: write it as NAME=VALUE,VALUE", part.trim()))?;
            let values: Vec<String> = values
                .split(',')
                .map(|value| value.trim().to_owned())
                .collect();
            if values.iter().any(String::is_empty) {
                return Err(format!("`{}`: a value is empty", part.trim()));
            }
            let slot = match name.trim() {
                "tool" | "tools" => {
                    dimensions.tools = tools(&values)?;
                    continue;
                }
                "feature" | "features" => &mut dimensions.features,
                "profile" | "profiles" => &mut dimensions.profiles,
                other => return Err(format!("`{other}`: there are tool, features and profile")),
            };
            if !slot.is_empty() {
                return Err(format!("`{}` is there twice", name.trim()));
            }
            *slot = values;
        }
        Ok(dimensions)
    }
}

fn tools(values: &[String]) -> Result<Vec<Tool>, String> {
    let known = |value: &String| <Tool as clap::ValueEnum>::from_str(value, false);
    let tools = values
        .iter()
        .map(|value| known(value).map_err(|_| format!("`{value}`: no such tool")));
    tools.collect()
}

impl Dimensions {
    /// All choices.
    pub(super) fn variants(&self) -> Vec<Variant> {
        let or_none = |values: &[String]| -> Vec<Option<String>> {
            if values.is_empty() {
                vec![None]
            } else {
                values.iter().cloned().map(Some).collect()
            }
        };
        let mut variants = Vec::new();
        for features in or_none(&self.features) {
            for profile in or_none(&self.profiles) {
                variants.push(Variant {
                    features: features.clone(),
                    profile,
                });
            }
        }
        variants
    }
}

impl Variant {
    /// Whether nothing is varied.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Behind the tool's name in the name of a column.
    pub(super) fn suffix(&self) -> String {
        let parts = [&self.features, &self.profile];
        parts
            .into_iter()
            .flatten()
            .map(|part| format!("/{part}"))
            .collect()
    }

    /// Puts the options for it behind the subcommand.
    pub(super) fn apply(&self, words: &mut Vec<OsString>, subcommand: usize) {
        let is_nextest = words[subcommand] == "nextest";
        let at = subcommand + 1 + usize::from(is_nextest);
        let mut options: Vec<String> = Vec::new();
        if let Some(features) = &self.features {
            options.extend(feature_options(features));
        }
        match self.profile.as_deref() {
            None | Some("dev" | "test") => {}
            Some(profile) => {
                let name = if is_nextest {
                    "--cargo-profile"
                } else {
                    "--profile"
                };
                options.extend([name.to_owned(), profile.to_owned()]);
            }
        }
        let at = at.min(words.len());
        words.splice(at..at, options.into_iter().map(OsString::from));
    }
}

/// `default`, `all`, `none`, or names with `+` between them; `none+a` is `a` without the default ones.
fn feature_options(features: &str) -> Vec<String> {
    let mut options = Vec::new();
    let mut names = Vec::new();
    for part in features.split('+') {
        match part {
            "default" => {}
            "all" => options.push("--all-features".to_owned()),
            "none" => options.push("--no-default-features".to_owned()),
            name => names.push(name),
        }
    }
    if !names.is_empty() {
        options.extend(["--features".to_owned(), names.join(",")]);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_of_dimensions() {
        let asked: Dimensions =
            "tool=asan,tracer × features=default,none+a+b × profile=dev,release"
                .parse()
                .unwrap();
        assert_eq!(asked.tools, [Tool::Asan, Tool::Tracer]);
        let names: Vec<_> = asked.variants().iter().map(Variant::suffix).collect();
        assert_eq!(
            names,
            [
                "/default/dev",
                "/default/release",
                "/none+a+b/dev",
                "/none+a+b/release"
            ]
        );
        let ascii: Dimensions = "features=all x profile=release".parse().unwrap();
        assert_eq!(ascii.variants().len(), 1);
        assert!(Dimensions::default().variants()[0].is_plain());
    }

    #[test]
    fn words_go_behind_the_subcommand() {
        let apply = |command: &str, spec: &str| {
            let mut words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            let dimensions: Dimensions = spec.parse().unwrap();
            dimensions.variants()[0].apply(&mut words, 1);
            words.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
        };
        assert_eq!(
            apply("cargo test -- net", "features=none+a × profile=release"),
            "cargo test --no-default-features --features a --profile release -- net"
        );
        assert_eq!(
            apply("cargo nextest run", "features=all × profile=release"),
            "cargo nextest run --all-features --cargo-profile release"
        );
        assert_eq!(
            apply("cargo test", "features=default × profile=dev"),
            "cargo test"
        );
    }

    #[test]
    fn wrong_ones_say_what_there_is() {
        let refused = |text: &str| text.parse::<Dimensions>().unwrap_err();
        assert!(refused("feature").contains("NAME=VALUE"));
        assert!(refused("colour=red").contains("tool, features and profile"));
        assert!(refused("tool=asam").contains("no such tool"));
        assert!(refused("features=a,").contains("empty"));
        assert!(refused("features=a × features=b").contains("twice"));
    }
}
