# Completion of quiverfs and its links for bash. Needs no other file.

_quiverfs_commands='create mount umount import export search map index status flush compact verify check snapshot send receive list remove'
_quiverfs_mount_options='ro rw allow_other uid= gid= umask= matrix_mode= durability= commit=
	autocompact= io_uring= id= conf= keyring= op_timeout= sync dirsync nosuid nodev noexec noatime nofail noauto user _netdev'

_quiverfs_formats='npy npz fvecs bvecs ivecs fbin f16bin dbin u8bin i8bin ibin safetensors hdf5 parquet arrow jsonl json csv tsv glove word2vec w2vbin raw'

# The options of a subcommand.
_quiverfs_options() {
	local common='--help --usage --version'
	case $1 in
	create | mkfs.quiverfs) echo "--dim --dtype --like --metric --label --sparse -o $common" ;;
	mount) echo "-f -o $common" ;;
	mount.quiverfs) echo "-s -f -n -v -t -o $common" ;;
	import) echo "--dim --dtype --format --dataset --skip-bytes --vector-column --id-column --header --delimiter
		--ids --start-id --keys --words --add-keys --limit --partial --on-duplicate --convert
		--reject-nonfinite -u --update --delete --exclude -n --dry-run -o $common" ;;
	export) echo "--format --dataset --vector-column --id-column --header --delimiter
		--ids --keys --words --start-id --convert --dtype
		-u --update --delete -n --dry-run -o $common" ;;
	search) echo "-k --metric --ids --exact --within --self -o --output --format --distances
		--query-format --convert --limit --dataset --skip-bytes --vector-column --id-column
		--header --delimiter $common" ;;
	map) echo "-o --output --method --metric --max --color --id-column --clusters --keys --words
		--start-id --neighbours --neighbours-of $common" ;;
	status) echo "--json --watch -o $common" ;;
	check) echo "--repair -o $common" ;;
	snapshot) echo "--json --attributes $common" ;;
	send) echo "--since --from $common" ;;
	receive) echo "--force --undo $common" ;;
	remove) echo "--yes -o $common" ;;
	flush | compact | verify | list | index) echo "-o $common" ;;
	fsck.quiverfs) echo "-a -p -y -n -r -f -v -C -T -o $common" ;;
	*) echo "$common" ;;
	esac
}

# The last of a list of options behind -o, which are $2.
_quiverfs_mount_option() {
	local before='' last=$1
	[[ $1 != *,* ]] || before=${1%,*}, last=${1##*,}
	COMPREPLY=($(compgen -P "$before" -W "$2" -- "$last"))
	[[ ${#COMPREPLY[@]} -ne 1 || $COMPREPLY != *= ]] || compopt -o nospace 2>/dev/null
}

_quiverfs() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[0]##*/}

	COMPREPLY=()
	if [ "$command" = quiverfs ]; then
		if [ "$COMP_CWORD" -eq 1 ]; then
			if [[ $word == -* ]]; then
				COMPREPLY=($(compgen -W "$(_quiverfs_options)" -- "$word"))
			else
				COMPREPLY=($(compgen -W "$_quiverfs_commands" -- "$word"))
			fi
			return
		fi
		command=${COMP_WORDS[1]}
	fi
	# bash takes --dtype=f4 apart at the sign
	if [ "$word" = = ]; then
		word=
	elif [ "$before" = = ] && [ "$COMP_CWORD" -ge 2 ]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $command:$before in
	*:--dtype) COMPREPLY=($(compgen -W 'f4 f2 f8 i1 u1 bf2 b1' -- "$word")) ;;
	*:--metric) COMPREPLY=($(compgen -W 'l2 cosine ip hamming' -- "$word")) ;;
	search:--format) COMPREPLY=($(compgen -W 'text jsonl ivecs fvecs npy' -- "$word")) ;;
	*:--format | *:--query-format) COMPREPLY=($(compgen -W "$_quiverfs_formats" -- "$word")) ;;
	*:--on-duplicate) COMPREPLY=($(compgen -W 'replace skip fail' -- "$word")) ;;
	export:--header) COMPREPLY=($(compgen -W 'yes no' -- "$word")) ;;
	*:--header) COMPREPLY=($(compgen -W 'yes no auto' -- "$word")) ;;
	*:--delimiter) COMPREPLY=($(compgen -W 'comma semicolon tab space pipe' -- "$word")) ;;
	*:--vector-column | *:--id-column | *:--exclude) ;;
	send:--since | send:--from) ;;
	map:--method) COMPREPLY=($(compgen -W 'pca umap tsne' -- "$word")) ;;
	map:--max | map:--clusters | map:--neighbours | map:--neighbours-of) ;;
	search:-k | search:--within | search:--limit) ;;
	*:--dim | *:--label | *:--start-id | *:--skip-bytes | *:--dataset | *:--watch) ;;
	mount*:-o) _quiverfs_mount_option "$word" "$_quiverfs_mount_options" ;;
	search:-o | map:-o) COMPREPLY=($(compgen -f -W 'id= conf= keyring= op_timeout=' -- "$word")) ;;
	*:-o) _quiverfs_mount_option "$word" 'id= conf= keyring= op_timeout=' ;;
	mount*:-t) COMPREPLY=($(compgen -W 'quiverfs fuse.quiverfs' -- "$word")) ;;
	*)
		if [[ $word == -* ]]; then
			COMPREPLY=($(compgen -W "$(_quiverfs_options "$command")" -- "$word"))
		elif [ "$command" = index ] && [ "$COMP_CWORD" -eq 3 ]; then
			COMPREPLY=($(compgen -W 'start stop off' -- "$word"))
		elif [ "$command:$before" = snapshot:snapshot ]; then
			COMPREPLY=($(compgen -W 'create remove list diff' -- "$word"))
		else
			compopt -o filenames 2>/dev/null
			local IFS=$'\n'
			COMPREPLY=($(compgen -f -- "$word"))
		fi
		;;
	esac
}

complete -F _quiverfs quiverfs mkfs.quiverfs mount.quiverfs fsck.quiverfs
