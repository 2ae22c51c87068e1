# SPDX-License-Identifier: Apache-2.0
"""Drivers as they are in the field: each has one habit of drivers written for SODA Delfin, and is sound otherwise.

They stand for code that is not to be edited, so do not repair them. Numbers in brackets are sections of the sheet of
facts about such drivers that they were written from.
"""
