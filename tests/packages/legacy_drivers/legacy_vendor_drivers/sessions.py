# SPDX-License-Identifier: Apache-2.0
"""Habits around REST sessions."""

import base64
import threading

import requests
import six
import urllib3
from delfin import cryptor, exception, ssl_utils
from delfin.drivers.utils.rest_client import RestClient
from delfin.i18n import _
from oslo_log import log

from legacy_vendor_drivers.base import Array

LOG = log.getLogger(__name__)

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def volumes_of(driver, answer):
    """Rows of what the array says."""
    return [driver.volume(item['id'], total_capacity=item['size']) for item in answer]


class LoginInConstructor(Array):
    """Logs in while it is built, with the client it holds (1.2, 3.6)."""

    MODEL = 'login_in_constructor'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.client = RestClient(**kwargs)
        self.client.verify = kwargs.get('verify', False)
        self.login()

    def login(self):
        self.client.init_http_head()
        data = {'username': self.client.rest_username, 'password': cryptor.decode(self.client.rest_password)}
        answer = self.client.do_call('/login', data, 'POST', calltimeout=30)
        if answer.status_code != 200:
            LOG.error('login failed: %s', answer.status_code)
            raise exception.InvalidUsernameOrPassword()
        self.client.session.headers['X-Token'] = answer.json()['token']

    def list_volumes(self, context):
        return volumes_of(self, self.client.do_call('/volumes', None, 'GET').json())


class TokenClient(RestClient):
    """A client with a `call` of its own: another login after 401 and 403 (7)."""

    def __init__(self, **kwargs):
        super(TokenClient, self).__init__(**kwargs)
        self.session_lock = threading.Lock()

    def call(self, url, data=None, method=None):
        try:
            with self.session_lock:
                if self.session is None or self.rest_auth_token is None:
                    self.login()
            self.session.headers['X-Token'] = cryptor.decode(self.rest_auth_token)
            res = self.do_call(url, data, method)
            if res.status_code in (401, 403):
                LOG.error('the token is not taken any more')
                self.login()
                self.session.headers['X-Token'] = cryptor.decode(self.rest_auth_token)
                return self.do_call(url, data, method)
            return res
        except exception.DelfinException as e:
            LOG.error('call of %s failed: %s', url, e.msg)
            raise e
        except Exception as e:
            raise exception.InvalidResults(six.text_type(e))

    def login(self):
        self.init_http_head()
        data = {'username': self.rest_username, 'password': cryptor.decode(self.rest_password)}
        res = self.do_call('/login', data, 'POST')
        if res.status_code != 200:
            raise exception.StorageBackendException(_('Failed to log in'))
        self.rest_auth_token = cryptor.encode(res.json()['token'])


class ClientSubclass(Array):
    """Has a client derived from ours, whose token lies encoded in memory (3.6, 7)."""

    MODEL = 'client_subclass'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.client = TokenClient(**kwargs)

    def list_volumes(self, context):
        return volumes_of(self, self.client.call('/volumes', None, 'GET').json())


class OwnSession(Array):
    """Makes its `requests` session by hand, with basic auth, `verify` and the adapter that ignores names (3.4, 7)."""

    MODEL = 'own_session'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        access = kwargs.get('rest')
        self.url = 'https://%s:%s' % (access.get('host'), access.get('port'))
        self.session = requests.Session()
        self.session.verify = kwargs.get('verify', False)
        self.session.trust_env = False
        self.session.auth = (access.get('username'), cryptor.decode(access.get('password')))
        self.session.mount('https://', ssl_utils.get_host_name_ignore_adapter())

    def list_volumes(self, context):
        res = self.session.get(self.url + '/volumes', timeout=(10, 10))
        if res.status_code != 200:
            raise exception.BadResponse(reason=res.text)
        return volumes_of(self, res.json())


class SessionSubclass(requests.Session):
    """A session with the array's address and login in it."""

    def __init__(self, host, port, login, verify):
        super().__init__()
        self.prefix = 'https://{}:{}'.format(host, port)
        self.headers['Authorization'] = 'Basic ' + base64.b64encode(login.encode()).decode()
        self.verify = verify

    def request(self, method, url, **kwargs):
        kwargs.setdefault('timeout', 20)
        return super().request(method, self.prefix + url, **kwargs)


class OwnSessionClass(Array):
    """Derives from `requests.Session` itself (7)."""

    MODEL = 'own_session_class'

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        rest = kwargs['rest']
        login = '%s:%s' % (rest['username'], cryptor.decode(rest['password']))
        self.session = SessionSubclass(rest['host'], rest['port'], login, kwargs['verify'])

    def list_volumes(self, context):
        return volumes_of(self, self.session.get('/volumes').json())


class InitAsReset(LoginInConstructor):
    """Its session ends in the middle of a sync, and `reset_connection` is its constructor (1.3)."""

    MODEL = 'init_as_reset'

    def reset_connection(self, context, **kwargs):
        self.__init__(**kwargs)

    def list_storage_pools(self, context):
        self.client.do_call('/logout', {}, 'POST')
        if self.client.do_call('/volumes', None, 'GET').status_code == 401:
            raise exception.NotAuthorized()
        return []
