//! Host names of Amazon's registries and APIs: which account, region and partition a registry host
//! names, and where its API and the token service of that region answer.
//!
//! Account and region of every call come from the registry's host name, never from the environment.
//!
//! Sources: Amazon ECR User Guide, "Registry endpoints"; the endpoint rules of the AWS SDKs.

use std::fmt;

/// A set of regions that shares identities and domain names with no other.
#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    /// The name as it stands in ARNs.
    pub name: &'static str,
    /// The domain of its APIs.
    pub suffix: &'static str,
    /// The domain of its APIs that answer over IPv6 too.
    pub dual_stack_suffix: &'static str,
    prefixes: &'static [&'static str],
}

/// The partitions, in the order in which a region's name is compared; the last one takes the rest.
pub static PARTITIONS: [Partition; 8] = [
    partition("aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", &["cn-"]),
    partition("aws-us-gov", "amazonaws.com", "api.aws", &["us-gov-"]),
    partition("aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", &["eusc-"]),
    partition("aws-iso", "c2s.ic.gov", "api.aws.ic.gov", &["us-iso-"]),
    partition("aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", &["us-isob-"]),
    partition("aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", &["eu-isoe-"]),
    partition("aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", &["us-isof-"]),
    partition("aws", "amazonaws.com", "api.aws", &["us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"]),
];

const fn partition(
    name: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
    prefixes: &'static [&'static str],
) -> Partition {
    Partition { name, suffix, dual_stack_suffix, prefixes }
}

/// The partition of a region; a region of no known form counts as `aws`.
pub fn partition_of(region: &str) -> &'static Partition {
    let known = |partition: &&Partition| partition.prefixes.iter().any(|prefix| region.starts_with(prefix));
    PARTITIONS.iter().find(known).unwrap_or(&PARTITIONS[PARTITIONS.len() - 1])
}

/// Which kind of endpoint is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// One whose cryptography is validated after FIPS 140.
    pub fips: bool,
    /// One that answers over IPv6 too.
    pub dual_stack: bool,
}

/// A registry of Amazon.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EcrHost {
    /// The registry of one account in one region.
    Private(PrivateRegistry),
    /// The one public registry, `public.ecr.aws`.
    Public,
}

/// The registry of one account in one region.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrivateRegistry {
    /// The account that owns it, twelve digits; the `registryId` of calls.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// The kind of endpoint that its host name asks for.
    pub variant: Variant,
}

/// The region of the public registry's API.
pub const PUBLIC_REGION: &str = "us-east-1";

const DUAL_STACK_SUFFIXES: [&str; 2] = ["on.aws", "on.amazonwebservices.com.cn"];

impl EcrHost {
    /// Reads a registry's host name, without port; `None` where it is not one of Amazon's.
    pub fn parse(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        if host == "public.ecr.aws" || host == "ecr-public.aws.com" {
            return Some(Self::Public);
        }
        let (account, rest) = host.split_at_checked(12)?;
        if !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // Both separators go with both kinds of domain: what follows decides.
        let rest = rest.strip_prefix(".dkr.ecr").or_else(|| rest.strip_prefix(".dkr-ecr"))?;
        let (fips, rest) = rest.strip_prefix("-fips").map_or((false, rest), |rest| (true, rest));
        let (region, suffix) = rest.strip_prefix('.')?.split_once('.')?;
        let dual_stack = DUAL_STACK_SUFFIXES.contains(&suffix);
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let starts_well = region.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !(dual_stack || is_suffix(suffix)) || !starts_well || !region.bytes().all(fits) {
            return None;
        }
        let variant = Variant { fips, dual_stack };
        Some(Self::Private(PrivateRegistry { account: account.to_owned(), region: region.to_owned(), variant }))
    }

    /// The region whose API is asked.
    pub fn region(&self) -> &str {
        match self {
            Self::Private(registry) => &registry.region,
            Self::Public => PUBLIC_REGION,
        }
    }

    /// The account that owns the registry, where it belongs to one.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Private(registry) => Some(&registry.account),
            Self::Public => None,
        }
    }

    /// The service's name in signatures and in `AWS_ENDPOINT_URL_…`.
    pub fn service(&self) -> &'static str {
        match self {
            Self::Private(_) => "ecr",
            Self::Public => "ecr-public",
        }
    }

    /// The host of the API, for the kind of endpoint that the host name or `wanted` asks for.
    pub fn api_host(&self, wanted: Variant) -> String {
        match self {
            Self::Private(registry) => {
                let variant = Variant {
                    fips: wanted.fips || registry.variant.fips,
                    dual_stack: wanted.dual_stack || registry.variant.dual_stack,
                };
                ecr_api_host(&registry.region, variant)
            }
            // There is one endpoint of each address family, and no validated one.
            Self::Public if wanted.dual_stack => format!("ecr-public.{PUBLIC_REGION}.api.aws"),
            Self::Public => format!("api.ecr-public.{PUBLIC_REGION}.amazonaws.com"),
        }
    }
}

fn is_suffix(text: &str) -> bool {
    PARTITIONS.iter().any(|partition| partition.suffix == text)
}

/// What is wrong with a host name that looks like one of ECR and is none.
pub fn misspelt(host: &str) -> Option<&'static str> {
    let host = host.to_ascii_lowercase();
    let mut suffixes = PARTITIONS.iter().map(|partition| partition.suffix).chain(DUAL_STACK_SUFFIXES);
    let rest = host.split_once(".dkr.ecr").or_else(|| host.split_once(".dkr-ecr"));
    let (account, rest) = rest.filter(|_| suffixes.any(|suffix| host.ends_with(&format!(".{suffix}"))))?;
    if EcrHost::parse(&host).is_some() {
        return None;
    }
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    Some(match rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.') {
        _ if !is_account => "the account in front of `.dkr` has not 12 digits",
        Some(rest) if is_suffix(rest) || DUAL_STACK_SUFFIXES.contains(&rest) => "it names no region",
        _ => "what stands between `ecr` and the domain is no region",
    })
}

impl fmt::Display for EcrHost {
    /// The registry's host name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Private(PrivateRegistry { account, region, variant }) = self else {
            return f.write_str("public.ecr.aws");
        };
        let fips = if variant.fips { "-fips" } else { "" };
        let partition = partition_of(region);
        match (variant.dual_stack, partition.name) {
            (false, _) => write!(f, "{account}.dkr.ecr{fips}.{region}.{}", partition.suffix),
            (true, "aws-cn") => write!(f, "{account}.dkr-ecr{fips}.{region}.{}", DUAL_STACK_SUFFIXES[1]),
            (true, _) => write!(f, "{account}.dkr-ecr{fips}.{region}.{}", DUAL_STACK_SUFFIXES[0]),
        }
    }
}

fn ecr_api_host(region: &str, variant: Variant) -> String {
    let partition = partition_of(region);
    let (suffix, dual) = (partition.suffix, partition.dual_stack_suffix);
    match (variant.fips, variant.dual_stack) {
        (false, false) => format!("api.ecr.{region}.{suffix}"),
        (false, true) => format!("ecr.{region}.{dual}"),
        (true, true) => format!("ecr-fips.{region}.{dual}"),
        (true, false) => format!("api.ecr-fips.{region}.{suffix}"),
    }
}

/// The host of the token service of a region.
pub fn sts_host(region: &str, variant: Variant) -> String {
    let partition = partition_of(region);
    match (variant.fips, variant.dual_stack) {
        (false, false) => format!("sts.{region}.{}", partition.suffix),
        (false, true) => format!("sts.{region}.{}", partition.dual_stack_suffix),
        // In GovCloud the ordinary endpoints are the validated ones.
        (true, false) if partition.name == "aws-us-gov" => format!("sts.{region}.{}", partition.suffix),
        (true, false) => format!("sts-fips.{region}.{}", partition.suffix),
        (true, true) => format!("sts-fips.{region}.{}", partition.dual_stack_suffix),
    }
}

// The regions that the one global endpoint serves when `AWS_STS_REGIONAL_ENDPOINTS=legacy`.
const LEGACY_REGIONS: &str = "ap-northeast-1 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 \
     eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2 aws-global";

/// Whether the one global endpoint of the token service serves a region.
pub fn is_served_globally(region: &str) -> bool {
    LEGACY_REGIONS.split(' ').any(|known| known == region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(account: &str, region: &str, fips: bool, dual_stack: bool) -> Option<EcrHost> {
        let variant = Variant { fips, dual_stack };
        Some(EcrHost::Private(PrivateRegistry { account: account.into(), region: region.into(), variant }))
    }

    #[test]
    fn registry_hosts_tell_account_region_and_kind() {
        let account = "123456789012";
        for (tail, region, fips, dual_stack) in [
            ("dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", false, false),
            ("dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1", true, false),
            ("dkr-ecr.eu-west-1.on.aws", "eu-west-1", false, true),
            ("dkr-ecr-fips.us-east-1.on.aws", "us-east-1", true, true),
            ("dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1", false, true),
            ("dkr.ecr.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1", false, false),
            ("dkr.ecr.us-gov-west-1.amazonaws.com", "us-gov-west-1", false, false),
            ("dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", true, false),
            ("dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", false, false),
            ("dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", false, false),
            ("dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", false, false),
            ("dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1", false, false),
            ("dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1", false, false),
            ("DKR.ecr.EU-West-1.amazonaws.com", "eu-west-1", false, false),
        ] {
            let host = format!("{account}.{tail}");
            let found = EcrHost::parse(&host);
            assert_eq!(found, private(account, region, fips, dual_stack), "{host}");
            let found = found.unwrap();
            assert_eq!((found.region(), found.account()), (region, Some(account)));
            assert_eq!(found.to_string(), host.to_ascii_lowercase());
        }
        assert_eq!(EcrHost::parse("public.ecr.aws"), Some(EcrHost::Public));
        assert_eq!(EcrHost::parse("ecr-public.aws.com"), Some(EcrHost::Public));
        assert_eq!((EcrHost::Public.region(), EcrHost::Public.account()), ("us-east-1", None));
    }

    #[test]
    fn other_hosts_are_not_taken_for_amazons() {
        for host in [
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
            "12345678901x.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.-x.amazonaws.com",
            "123456789012.dkr.ecr.eu~west.amazonaws.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "123456789012.dkr_ecr.eu-west-1.amazonaws.com",
            "evil.example",
            "docker.io",
            "public.ecr.aws.evil.example",
            "",
            "ééééééééé",
        ] {
            assert_eq!(EcrHost::parse(host), None, "{host}");
        }
    }

    #[test]
    fn a_misspelt_host_is_told_from_a_foreign_one() {
        for (host, expected) in [
            ("12345678901.dkr.ecr.eu-west-1.amazonaws.com", Some("the account in front of `.dkr` has not 12 digits")),
            ("acme.dkr.ecr.eu-west-1.amazonaws.com", Some("the account in front of `.dkr` has not 12 digits")),
            ("123456789012.dkr.ecr.amazonaws.com", Some("it names no region")),
            ("123456789012.dkr.ecr-fips.amazonaws.com", Some("it names no region")),
            (
                "123456789012.dkr.ecr.eu.west.1.amazonaws.com",
                Some("what stands between `ecr` and the domain is no region"),
            ),
            (
                "123456789012.dkr.ecr-eu-west-1.amazonaws.com",
                Some("what stands between `ecr` and the domain is no region"),
            ),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", None),
            ("123456789012.dkr.ecr.eu-west-1.internal.example", None),
            ("docker.io", None),
        ] {
            assert_eq!(misspelt(host), expected, "{host}");
        }
    }

    #[test]
    fn regions_belong_to_partitions() {
        for (region, name) in [
            ("eu-west-1", "aws"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-iso-west-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("eusc-de-east-1", "aws-eusc"),
            ("cn-north-1", "aws-cn"),
            ("mx-central-1", "aws"),
            ("moon-base-1", "aws"),
        ] {
            assert_eq!(partition_of(region).name, name, "{region}");
        }
    }

    #[test]
    fn a_host_name_that_asks_for_a_kind_of_endpoint_gets_it() {
        let fips = EcrHost::parse("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com").unwrap();
        assert_eq!(fips.api_host(Variant::default()), "api.ecr-fips.us-east-1.amazonaws.com");
        let dual = EcrHost::parse("123456789012.dkr-ecr.eu-west-1.on.aws").unwrap();
        assert_eq!(dual.api_host(Variant::default()), "ecr.eu-west-1.api.aws");
        assert_eq!(EcrHost::Public.api_host(Variant::default()), "api.ecr-public.us-east-1.amazonaws.com");
        let wanted = Variant { fips: true, dual_stack: true };
        assert_eq!(EcrHost::Public.api_host(wanted), "ecr-public.us-east-1.api.aws");
        assert_eq!((dual.service(), EcrHost::Public.service()), ("ecr", "ecr-public"));
    }

    #[test]
    fn the_global_endpoint_serves_the_regions_that_it_always_served() {
        assert!(is_served_globally("eu-west-1") && is_served_globally("aws-global"));
        assert!(!is_served_globally("eu-south-1") && !is_served_globally(""));
    }

    /// `region`, `variant`, then the hosts of ECR and of the token service, as botocore's rules have them.
    const ENDPOINTS: &str = include_str!("../../../tests/fixtures/aws/endpoints.tsv");

    #[test]
    fn endpoints_are_those_of_the_sdk_in_every_partition() {
        let mut seen = 0;
        for line in ENDPOINTS.lines().filter(|line| !line.starts_with('#')) {
            let [region, variant, ecr, sts] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let variant = Variant { fips: variant.contains("fips"), dual_stack: variant.contains("dual") };
            if ecr != "-" {
                assert_eq!(ecr_api_host(region, variant), ecr, "{line}");
            }
            if sts != "-" {
                assert_eq!(sts_host(region, variant), sts, "{line}");
            }
            seen += 1;
        }
        assert!(seen >= 190, "only {seen} lines");
    }
}
