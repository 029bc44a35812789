# Sourced by scripts that need a package of some release of Debian: lists and sources of our own,
# in a folder of ours. The apt set-up of the system is read, never changed.

# debian_archives: prints "URI KEYRING" of each archive of Debian that the system uses; KEYRING is
# a path or empty.
debian_archives() {
	{ apt-get indextargets --format '$(REPO_URI) $(SIGNED_BY)' 2>/dev/null |
		grep -E '/debian/? ' || true; } | awk '!seen[$1]++ { print $1, ($2 ~ /^\// ? $2 : "") }'
}

# debian_lists FOLDER KIND RELEASE URI KEYRING [ARCHITECTURE]: makes FOLDER/apt.conf, for
# `apt-get -c`, with the lists of RELEASE; KIND is deb or deb-src, KEYRING may be empty. Returns
# apt's status where they cannot be had.
debian_lists() {
	local folder=$1 kind=$2 release=$3 uri=$4 keyring=$5 architecture=${6-}
	rm -rf "$folder"
	mkdir -p "$folder"/{lists/partial,cache/archives/partial,source}
	: >"$folder/status"
	echo "$kind ${keyring:+[signed-by=$keyring] }$uri $release main" >"$folder/sources.list"
	# Nor may the hooks of the system run: they clean its caches.
	cat >"$folder/apt.conf" <<-EOF
	#clear APT::Update::Pre-Invoke;
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	#clear Dir::Etc::PreferencesParts;
	Dir::Etc::SourceList "$folder/sources.list";
	Dir::Etc::SourceParts "/dev/null";
	Dir::Etc::Preferences "/dev/null";
	Dir::State::Lists "$folder/lists";
	Dir::State::Status "$folder/status";
	Dir::Cache "$folder/cache";
	APT::Sandbox::User "root";
	// What is fetched is known by its checksum, so old lists are as good.
	Acquire::Check-Valid-Until "false";
	Acquire::Check-Date "false";
	Acquire::Languages "none";
	EOF
	[ -z "$architecture" ] || cat >>"$folder/apt.conf" <<-EOF
	#clear APT::Architectures;
	APT::Architecture "$architecture";
	APT::Architectures { "$architecture"; };
	EOF
	apt-get -qq -c "$folder/apt.conf" update
}
