# SPDX-License-Identifier: Apache-2.0
"""Whether a driver keeps the contract: a table of it, rules that check it, and proofs that the rules bite.

`contract` is the one table; base class, rules, guide and support matrix agree with it or are made from it. `rules` says
what a rule is; `static` has those that need only the class, `rows`, `alerts`, `performance`, `isolation` and `errors`
those that call the driver, all through the product's own door (`bench`) and with the product's own reading of answers.
`device` is what they are tried on: a simulator, recorded replies or a real array. `run` judges, `waivers` excuse for a
while, `report` and `matrix` show, `cli` is the command, `testing` the mix-in for driver authors.
"""
