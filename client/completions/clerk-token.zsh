#compdef clerk-token
# Completions of clerk-token for zsh.

_clerk-token_commands() {
	local -a commands=(
		'get:print a valid token'
		'watch:print the token, and each that replaces it'
		'exec:run a program with the token in $CLERK_TOKEN'
		"drop:have the daemon forget a session's tokens"
		'flush:have the daemon forget everything'
		'why:tell whether you may have a token'
		'ping:does the daemon answer?'
		"stats:print the daemon's statistics as JSON"
		'top:show how the daemon is doing'
		'doctor:say what is wrong and what to do'
	)
	_describe command commands
}

_clerk-token_units() {
	local -a units=(${(f)"$(_call_program units systemctl list-units --all --full --plain --no-legend --no-pager --type=service 2>/dev/null)"})
	compadd "$@" - ${units%% *}
}

_clerk-token() {
	local i command
	local -a get=(
		'--min-ttl=[the least life that the token must have left]:seconds: '
		'--wait=[how long to wait for Clerk]:milliseconds: '
		'--expires-in=[the lifetime to ask Clerk for]:seconds: '
		'--not=[the token of that id was refused]:id: '
	)
	local -a write=('--write=[keep the token in a file]:file:_files')
	local -a once=('--once[print it once, as plain text]')
	local -a why=(
		'--uid=[ask about that user and his groups]:user:_users'
		'*--gid=[ask about that group too]:group:_groups'
		'--unit=[ask about a systemd unit]:unit:_clerk-token_units'
	)
	local -a options=(
		'--json[print JSON, messages too]'
		"--socket=[the daemon's socket]:socket:_files"
		'(- *)--help[print how the program is used]'
		'(- *)--version[print the version]'
	)

	for ((i = 2; i < CURRENT; i++)); do
		case $words[i] in
		--) break ;;
		--socket|--min-ttl|--wait|--expires-in|--not|--write|--uid|--gid|--unit) ((i++)) ;;
		-*) ;;
		*) [[ -n $command ]] || command=$words[i] ;;
		esac
	done
	if [[ $command == exec && i -lt CURRENT ]]; then
		shift i words
		((CURRENT -= i))
		_normal
		return
	fi
	case $command in
	'') options+=($get $write $once $why) ;;
	get|exec) options+=($get) ;;
	watch) options+=($get $write) ;;
	top) options+=($once) ;;
	why) options+=($why) ;;
	esac
	case $command in
	get|watch|exec|drop|why|doctor) options+=('2:session: ' '3:template: ') ;;
	esac
	_arguments -S $options '1:command:_clerk-token_commands'
}

_clerk-token "$@"
