# SPDX-License-Identifier: MIT
# Completion for fish. sockqctl itself says what may come next.
function __sockqctl_complete
    set -l words (commandline -opc)
    $words[1] complete -- $words[2..] (commandline -ct) 2>/dev/null
end
complete -c sockqctl -f -a '(__sockqctl_complete)'
