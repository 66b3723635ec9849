# Converts the output of `cargo metadata` to CycloneDX 1.5; see sbom.sh.

# The checksums of crates, from Cargo.lock.
def checksums:
	[$lock | split("[[package]]\n")[1:][] |
		capture("name = \"(?<name>[^\"]+)\"\nversion = \"(?<version>[^\"]+)\""
			+ "(.*\n)*?checksum = \"(?<sum>[0-9a-f]+)\"")
		| {key: "\(.name) \(.version)", value: .sum}] | from_entries;

def purl: "pkg:cargo/\(.name)@\(.version | gsub("\\+"; "%2B"))";

# Older crates write "/" instead of "OR".
def component($type; $scope; $sums):
	{type: $type, "bom-ref": purl, name, version}
	+ (if $scope then {scope: $scope} else {} end)
	+ {
		description: ((.description // "") | gsub("\\s+"; " ") | sub("^ "; "") | sub(" $"; "")),
		hashes: [$sums["\(.name) \(.version)"] // empty | {alg: "SHA-256", content: .}],
		licenses: [{expression: (.license | gsub(" */ *"; " OR "))}],
		purl: purl
	};

checksums as $sums
| (.packages | map({key: .id, value: .}) | from_entries) as $packages
| (.resolve.nodes
	| map({key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind == null)) | .pkg]})
	| from_entries) as $needs
| .resolve.root as $root
# Everything that is compiled into the library: its dependencies, and theirs.
| ([$root] | until(. as $found | all($needs[.[]][]; IN($found[])); (. + [$needs[.[]][]]) | unique))
	as $shipped
| ($packages | keys - [$root] | map(select($kind == "source" or IN($shipped[])))) as $others
| {
	name: "core", type: "library", version: $rust, scope: "required",
	"bom-ref": "pkg:generic/rust-core@\($rust)", purl: "pkg:generic/rust-core@\($rust)",
	description: "The core library of the Rust that compiled it",
	hashes: [], licenses: [{expression: "MIT OR Apache-2.0"}]
} as $core
| {
	bomFormat: "CycloneDX",
	specVersion: "1.5",
	version: 1,
	metadata: ((if $time != "" then {timestamp: $time} else {} end)
		+ {component: ($packages[$root] | component("library"; null; $sums))}),
	components: (
		[$others[] as $id | $packages[$id]
			| component("library";
				(if $id | IN($shipped[]) then "required" else "excluded" end); $sums)]
		+ (if $rust != "" then [$core] else [] end)
		| sort_by(.name, .version)),
	dependencies: (
		[$root, $others[] | . as $id | {
			ref: ($packages[$id] | purl),
			dependsOn: ([$needs[$id][] | select(IN($others[])) | $packages[.] | purl]
				+ (if $id == $root and $rust != "" then [$core.purl] else [] end) | sort)
		}]
		+ (if $rust != "" then [{ref: $core.purl, dependsOn: []}] else [] end)
		| sort_by(.ref))
}
