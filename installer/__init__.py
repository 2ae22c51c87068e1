# SPDX-License-Identifier: Apache-2.0
"""What install, uninstall and test are made of: standard library only, since a fresh machine has just Python and git.

Code map: `console` says things, `checkout` knows the folders, `processes` and `packages` look at the machine,
`environment` makes virtual environments, `state` and `service` keep and run Delfin, `demo` registers storages and
shows what was found; `install`, `uninstall` and `test` are the commands.
"""
