# SPDX-License-Identifier: Apache-2.0
"""The make-believe array with enclosures."""

from delfin.drivers.fake_storage import FakeStorageDriver


class EnclosureDriver(FakeStorageDriver):
    """A fake array with three enclosures."""

    def list_enclosures(self, context):
        """The new kind."""
        return [{'native_enclosure_id': f'shelf-{number}', 'name': f'Shelf {number}', 'status': 'NORMAL',
                 'bay_count': '24' if number else 12, 'powered': 'yes'} for number in range(3)]
