# Completion of quiverfs and its links for fish.

set -l commands create mount import export status flush compact verify check snapshot send receive list remove
set -l programs quiverfs mkfs.quiverfs mount.quiverfs fsck.quiverfs
set -l mount_options ro rw allow_other uid= gid= umask= matrix_mode=0600 matrix_mode=0640 \
    matrix_mode=0644 durability=always durability=fsync durability=flush durability=none commit= \
    autocompact= io_uring=auto io_uring=on io_uring=off \
    id= conf= keyring= op_timeout= sync dirsync nosuid nodev noexec noatime nofail noauto user _netdev
set -l reach_options id= conf= keyring= op_timeout=

for program in $programs
    complete -c $program -l help -d 'Print what the options are'
    complete -c $program -l usage -d 'Print them in short'
    complete -c $program -l version -d 'Print the versions'
end

complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a create -d 'Make an empty store'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a mount -d 'Mount a store'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a import -d 'Put the rows of files into it'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a export -d 'Write all vectors to a file'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a status -d 'What is in it, and how it does'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a flush -d 'Bring every commit to stable storage'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a compact -d 'Give space back'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a verify -d 'Compare every checksum'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a check -d 'Check a store, and repair it'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a snapshot -d 'Keep the store as it is now'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a send -d 'Write a snapshot to standard output'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a receive -d 'Read a snapshot into a store'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a list -d 'List the collections in a pool of Ceph'
complete -c quiverfs -f -n "not __fish_seen_subcommand_from $commands" -a remove -d 'Remove a collection in Ceph'

complete -c quiverfs -n '__fish_seen_subcommand_from create' -l dim -x -d 'Elements of a vector'
complete -c quiverfs -n '__fish_seen_subcommand_from create' -l dtype -x -a 'f4 f2 f8 i1 u1 bf2 b1' -d 'Type of an element'
complete -c quiverfs -n '__fish_seen_subcommand_from create' -l metric -x -a 'l2 cosine ip hamming' -d 'How vectors are to be compared'
complete -c quiverfs -n '__fish_seen_subcommand_from create' -l label -x -d 'What people should know'
complete -c quiverfs -n '__fish_seen_subcommand_from mount' -s f -d 'Stay in the foreground'
complete -c quiverfs -n '__fish_seen_subcommand_from mount' -s o -x -a "(__fish_append , $mount_options)" -d 'Mount options'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l format -x -a 'npy npz fvecs bvecs ivecs fbin f16bin dbin u8bin i8bin ibin safetensors hdf5 parquet arrow jsonl json csv tsv glove word2vec w2vbin raw' -d 'Format of the file'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l dataset -x -d 'Name of the array in the file'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l keys -r -d 'The keys, one a line'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l words -r -d 'The keys, one a line'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l convert -d 'Convert elements'
complete -c quiverfs -n '__fish_seen_subcommand_from export' -l dtype -x -a 'f4 f2 f8 i1 u1 bf2 b1' -d 'Convert elements to this type'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l on-duplicate -x -a 'replace skip fail' -d 'What to do with an ID that exists'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l reject-nonfinite -d 'Stop before a NaN or an infinity'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -s u -d 'Of a folder only what differs'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l update -d 'Of a folder only what differs'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l delete -d 'Remove what the other side has not'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l exclude -x -d 'Pass over such names in the folder'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -s n -d 'Tell what would be done with a folder'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l dry-run -d 'Tell what would be done with a folder'
complete -c quiverfs -n '__fish_seen_subcommand_from export' -l start-id -x -d 'The vector of the first key'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l vector-column -x -d 'Which column holds the vector'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l id-column -x -d 'Which column holds the ID'
complete -c quiverfs -n '__fish_seen_subcommand_from export' -l header -x -a 'yes no' -d 'Whether a first line names the columns'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l header -x -a 'yes no auto' -d 'Whether the first line names the columns'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l skip-bytes -x -d 'Bytes before the rows of a raw file'
complete -c quiverfs -n '__fish_seen_subcommand_from import export' -l delimiter -x -a 'comma semicolon tab space pipe' -d 'What separates the fields'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l add-keys -d 'Add to the keys that are there'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l limit -x -d 'Only the first rows'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l partial -d 'Of a file that is cut off the whole rows'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l ids -r -d 'The ID of each row'
complete -c quiverfs -n '__fish_seen_subcommand_from import' -l start-id -x -d 'The ID of the first row'
complete -c quiverfs -n '__fish_seen_subcommand_from export' -l ids -r -d 'Write the ID of each row'
complete -c quiverfs -n '__fish_seen_subcommand_from status' -l json -d 'One JSON object'
complete -c quiverfs -n '__fish_seen_subcommand_from status' -l watch -d 'Show it again and again'
complete -c quiverfs -f -n '__fish_seen_subcommand_from snapshot; and test (count (commandline -opc)) -eq 2' -a 'create remove list diff'
complete -c quiverfs -n '__fish_seen_subcommand_from snapshot' -l json -d 'A JSON array of the snapshots'
complete -c quiverfs -n '__fish_seen_subcommand_from snapshot' -l attributes -d 'Also where only attributes differ'
complete -c quiverfs -n '__fish_seen_subcommand_from send' -l since -x -d 'Only what has changed since'
complete -c quiverfs -n '__fish_seen_subcommand_from send' -l from -x -d 'Go on from a position'
complete -c quiverfs -n '__fish_seen_subcommand_from receive' -l force -d 'Go back to the snapshot first'
complete -c quiverfs -n '__fish_seen_subcommand_from receive' -l undo -d 'Go back from half a stream'
complete -c quiverfs -n '__fish_seen_subcommand_from check' -l repair -d 'Put right what can be'
complete -c quiverfs -n '__fish_seen_subcommand_from create' -l sparse -d 'The IDs will be far apart'
complete -c quiverfs -n '__fish_seen_subcommand_from remove' -l yes -d 'Without asking'
complete -c quiverfs -n '__fish_seen_subcommand_from create import export status flush compact verify check list remove' -s o -x -a "(__fish_append , $reach_options)" -d 'How Ceph is reached'

complete -c mkfs.quiverfs -l dim -x -d 'Elements of a vector'
complete -c mkfs.quiverfs -l dtype -x -a 'f4 f2 f8 i1 u1 bf2 b1' -d 'Type of an element'
complete -c mkfs.quiverfs -l metric -x -a 'l2 cosine ip hamming' -d 'How vectors are to be compared'
complete -c mkfs.quiverfs -l label -x -d 'What people should know'
complete -c mkfs.quiverfs -l sparse -d 'The IDs will be far apart'
complete -c mkfs.quiverfs -s o -x -a "(__fish_append , $reach_options)" -d 'How Ceph is reached'

complete -c mount.quiverfs -s s -d 'Leave out unknown mount options'
complete -c mount.quiverfs -s f -d Fake
complete -c mount.quiverfs -s n -d 'No entry in mtab'
complete -c mount.quiverfs -s v -d Verbose
complete -c mount.quiverfs -s t -x -a 'quiverfs fuse.quiverfs' -d Type
complete -c mount.quiverfs -s o -x -a "(__fish_append , $mount_options)" -d 'Mount options'

complete -c fsck.quiverfs -s a -d 'Repair without asking'
complete -c fsck.quiverfs -s p -d 'Repair without asking'
complete -c fsck.quiverfs -s y -d 'Repair without asking'
complete -c fsck.quiverfs -s n -d 'Change nothing'
complete -c fsck.quiverfs -s r -d 'Ask before a repair'
complete -c fsck.quiverfs -s f -d 'Check also a clean store'
complete -c fsck.quiverfs -s v -d Verbose
complete -c fsck.quiverfs -s C -d 'Show progress'
complete -c fsck.quiverfs -s T -d 'No title'
complete -c fsck.quiverfs -s o -x -a "(__fish_append , $reach_options)" -d 'How Ceph is reached'
