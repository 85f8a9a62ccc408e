import pytest

from trainer.app.server import addresses


@pytest.mark.parametrize(
    ('host', 'bound', 'shown'),
    [
        ('127.0.0.1', '127.0.0.1', '127.0.0.1:8123'),
        ('::1', '::1', '[::1]:8123'),
        ('192.0.2.7', '192.0.2.7', '192.0.2.7:8123'),
        ('3pc.lab', '192.0.2.7', '3pc.lab:8123'),
        ('pc.lab', '192.0.2.7', 'pc.lab:8123'),
    ],
)
def test_the_address_is_shown_as_the_user_named_it(host, bound, shown):
    assert addresses(host, (bound, 8123))[0] == shown


@pytest.mark.parametrize(('host', 'bound'), [('0', '0.0.0.0'), ('0.0.0.0', '0.0.0.0'), ('::', '::')])
def test_where_all_addresses_are_meant_the_name_of_the_machine_is_shown(host, bound, monkeypatch):
    monkeypatch.setattr('socket.gethostname', lambda: 'rig')
    assert addresses(host, (bound, 8123)) == ['rig:8123']


def test_the_port_that_browsers_leave_out_may_be_missing():
    hosts = addresses('127.0.0.1', ('127.0.0.1', 80))
    assert hosts[0] == '127.0.0.1' and {'localhost', 'localhost:80'} <= set(hosts)
    assert 'localhost' not in addresses('127.0.0.1', ('127.0.0.1', 8080))
