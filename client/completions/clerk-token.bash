# Completions of clerk-token for bash.

# What belongs to the command line's word number $1, from the words before it: the command, and whether
# a program to run begins behind --.
_clerk_token_scan()
{
	local i
	command= dashes=0
	for ((i = 1; i < $1; i++)); do
		case ${COMP_WORDS[i]} in
		--)
			dashes=$i
			return
			;;
		--socket | --min-ttl | --wait | --expires-in | --not | --write | --uid | --gid | --unit)
			# bash has made --wait=3 into three words
			[[ ${COMP_WORDS[i + 1]-} == "=" ]] && ((i++))
			((i++))
			;;
		-*) ;;
		*) [[ $command ]] || command=${COMP_WORDS[i]} ;;
		esac
	done
}

_clerk_token_program()
{
	if declare -F _command_offset >/dev/null; then
		_command_offset $(($1 + 1))
	elif ((COMP_CWORD == $1 + 1)); then
		COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))
	else
		compopt -o default
		COMPREPLY=()
	fi
}

_clerk_token_units()
{
	systemctl list-units --all --full --plain --no-legend --no-pager --type=service "$1*" 2>/dev/null |
		while read -r unit _; do printf '%s\n' "$unit"; done
}

_clerk_token()
{
	local command dashes options
	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	_clerk_token_scan "$COMP_CWORD"
	if ((dashes)); then
		[[ $command == exec ]] && _clerk_token_program "$dashes"
		return
	fi
	if [[ $current == "=" ]]; then
		current=
	elif [[ $before == "=" ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $before in
	--socket | --write)
		compopt -o filenames
		COMPREPLY=($(compgen -f -- "$current"))
		return
		;;
	--uid)
		COMPREPLY=($(compgen -u -- "$current"))
		return
		;;
	--gid)
		COMPREPLY=($(compgen -g -- "$current"))
		return
		;;
	--unit)
		COMPREPLY=($(compgen -W "$(_clerk_token_units "$current")" -- "$current"))
		return
		;;
	--min-ttl | --wait | --expires-in | --not)
		return
		;;
	esac
	options="--json --socket --help --version"
	case $command in
	"") options+=" --min-ttl --wait --expires-in --not --write --once --uid --gid --unit" ;;
	get | exec) options+=" --min-ttl --wait --expires-in --not" ;;
	watch) options+=" --min-ttl --wait --expires-in --not --write" ;;
	top) options+=" --once" ;;
	why) options+=" --uid --gid --unit" ;;
	esac
	if [[ $current == -* ]]; then
		[[ $command == exec ]] && options+=" --"
		COMPREPLY=($(compgen -W "$options" -- "$current"))
	elif [[ ! $command ]]; then
		COMPREPLY=($(compgen -W "get watch exec drop flush why ping stats top doctor" -- "$current"))
	fi
}

complete -F _clerk_token clerk-token
