import csv

import numpy as np
import pytest

from beam_pipelines.errors import UserError
from tests.support.classified_cells import make_cell
from tests.support.folders import files_of
from trainer.classify.phy_export import check_can_export_phy, export_phy, match_clusters, read_cluster_ids


def make_phy_folder(folder, clusters=(17, 5, 5, 0), table=None):
    """Makes a folder of a sorting; without a table it was never saved in phy."""
    folder.mkdir(parents=True)
    (folder / 'params.py').write_text("dat_path = 'raw.dat'\n")
    if clusters is not None:
        np.save(folder / 'spike_clusters.npy', np.array(clusters, np.int32))
    if table is not None:
        (folder / 'cluster_info.tsv').write_text(table)
    return folder


def cells_named(*names):
    return [make_cell(name, f'{name}.abf') for name in names]


def rows_of(path) -> list[dict[str, str]]:
    """Reads the file as phylib does."""
    with open(path, newline='') as file:
        return list(csv.DictReader(file, delimiter='\t'))


class TestFolderThatIsNotOfPhy:
    def test_rows_are_clusters_in_the_order_of_the_cells(self, tmp_path):
        cells = [make_cell('B#2', 'B#2.abf', verdict='NSER', p_ser=0.125), make_cell('A#1', 'A#1.abf')]
        path = export_phy(tmp_path, cells, tmp_path)
        assert path == tmp_path / 'phy' / 'cluster_sero.tsv'
        rows = rows_of(path)
        assert [row['cluster_id'] for row in rows] == ['0', '1']
        assert [row['sero'] for row in rows] == ['NSER', 'SER']
        assert [row['cell'] for row in rows] == ['B#2', 'A#1']
        assert float(rows[0]['p_ser']) == 0.125
        assert path.read_text().startswith('cluster_id\tsero\t')
        assert list(path.parent.iterdir()) == [path]

    def test_more_than_ten_cells_stay_in_the_order_of_their_rows(self, tmp_path):
        rows = rows_of(export_phy(tmp_path, cells_named(*(f'cell {n:02d}' for n in range(12))), tmp_path))
        assert [row['cluster_id'] for row in rows] == [str(n) for n in range(12)]

    def test_no_cells_leave_the_header(self, tmp_path):
        assert (
            export_phy(tmp_path, [], tmp_path).read_text() == 'cluster_id\tsero\tp_ser\tp_ser_low\tp_ser_high\tcell\n'
        )

    def test_output_folder_that_does_not_exist_yet_can_be_exported_to(self, tmp_path):
        check_can_export_phy(tmp_path / 'new', ['any name'])
        assert list(tmp_path.iterdir()) == []


class TestFolderOfPhy:
    @pytest.mark.parametrize('where', ['phy', '.'])
    def test_clusters_are_those_that_the_cells_name_and_all_else_stays(self, where, tmp_path):
        folder = make_phy_folder(tmp_path / 'out' / where)
        (folder / 'cluster_sero.tsv').write_text('cluster_id\tsero\n0\tNSER\n')
        before = files_of(folder)
        cells = [
            make_cell('cluster_17', 'a', verdict='NSER'),
            make_cell('A140313#005', 'b', verdict='undecided', p_ser=0.5),
        ]
        path = export_phy(tmp_path / 'out', cells, tmp_path / 'out')
        assert path == folder / 'cluster_sero.tsv'
        assert [(row['cluster_id'], row['sero'], row['cell']) for row in rows_of(path)] == [
            ('5', 'undecided', 'A140313#005'),
            ('17', 'NSER', 'cluster_17'),
        ]
        after = files_of(folder)
        assert after.pop('cluster_sero.tsv') != before.pop('cluster_sero.tsv')
        assert after == before

    def test_of_two_folders_of_phy_the_inner_one_is_meant(self, tmp_path):
        make_phy_folder(tmp_path / 'out', clusters=[1])
        make_phy_folder(tmp_path / 'out' / 'phy', clusters=[2])
        assert export_phy(tmp_path / 'out', cells_named('2'), tmp_path / 'out').parent == tmp_path / 'out' / 'phy'

    def test_link_to_a_folder_of_phy_stays_a_link(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'sorted')
        (tmp_path / 'out').mkdir()
        (tmp_path / 'out' / 'phy').symlink_to(folder)
        export_phy(tmp_path / 'out', cells_named('5'), tmp_path / 'out')
        assert (tmp_path / 'out' / 'phy').is_symlink()
        assert [row['cluster_id'] for row in rows_of(folder / 'cluster_sero.tsv')] == ['5']

    @pytest.mark.parametrize(
        'name',
        ['5', '005', 'cluster_5', 'Cluster 5', 'unit5', 'UNIT-05', '2024_03_07_unit_5', 'A140313#5', 'a#unit5'],
    )
    def test_the_number_that_ends_a_name_is_its_cluster(self, name, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy')
        assert match_clusters(folder, [name]) == [5]

    @pytest.mark.parametrize('name', ['A5', 'A140313', '2024_03_07_5', 'cluster_5b', 'cluster5 b', 'subunit5', '٥', ''])
    def test_a_name_without_a_cluster_is_refused(self, name, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy')
        message = f'{folder}: cell {name!r}: names no cluster of phy; end the recording'
        with pytest.raises(UserError) as error:
            match_clusters(folder, ['cluster_17', name])
        assert str(error.value).startswith(message)

    def test_a_cluster_that_is_not_there_is_refused(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy')
        with pytest.raises(UserError) as error:
            match_clusters(folder, ['cluster_5', 'cluster_1'])
        assert str(error.value) == f"{folder}: cell 'cluster_1': phy has no cluster 1 here"

    def test_two_cells_of_one_cluster_are_refused(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy')
        with pytest.raises(UserError, match="cell 'unit5': is cluster 5 of phy, and so is 'cluster_5'"):
            match_clusters(folder, ['cluster_5', 'unit5'])

    def test_what_is_refused_changes_nothing(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy')
        (folder / 'cluster_sero.tsv').write_text('earlier')
        before = files_of(tmp_path)
        with pytest.raises(UserError):
            export_phy(tmp_path, cells_named('cluster_5', 'cluster_1'), tmp_path)
        with pytest.raises(UserError):
            check_can_export_phy(tmp_path, ['cluster_5', 'cluster_1'])
        check_can_export_phy(tmp_path, ['cluster_5'])
        assert files_of(tmp_path) == before

    def test_columns_that_phy_has_saved_are_named(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy')
        for name in ('cluster_sero.tsv', 'cluster_p_ser.tsv', 'cluster_cell.tsv', 'cluster_group.tsv'):
            (folder / name).write_text('cluster_id\tx\n')
        with pytest.raises(UserError, match='remove cluster_p_ser.tsv and cluster_cell.tsv$'):
            match_clusters(folder, ['5'])

    def test_a_file_in_place_of_the_folder_is_named_before_the_work(self, tmp_path):
        (tmp_path / 'phy').write_text('')
        with pytest.raises(OSError, match='phy'):
            check_can_export_phy(tmp_path, ['5'])


class TestClusterIds:
    @pytest.mark.parametrize('column', ['cluster_id', 'id'])
    @pytest.mark.parametrize('ends', ['\n', '\r\n'])
    def test_table_of_older_and_newer_versions(self, column, ends, tmp_path):
        table = ends.join([f'{column}\tch\tgroup', '5\t1\tgood', '17\t2\tmua', ''])
        folder = make_phy_folder(tmp_path / 'phy', clusters=None, table=table)
        assert read_cluster_ids(folder) == {5, 17}

    @pytest.mark.parametrize('clusters', [[17, 5, 5], [[17], [5], [5]]])
    @pytest.mark.parametrize('dtype', ['int32', 'uint32', 'int64', '>i4'])
    def test_spikes(self, clusters, dtype, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', clusters=None)
        np.save(folder / 'spike_clusters.npy', np.array(clusters, dtype))
        assert read_cluster_ids(folder) == {5, 17}

    def test_table_may_have_fewer_clusters_than_the_spikes(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', table='cluster_id\n5\n')
        assert read_cluster_ids(folder) == {5}

    def test_table_that_is_older_than_the_spikes_is_refused(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', table='cluster_id\n5\n18\n')
        with pytest.raises(UserError, match='cluster_info.tsv: cluster 18: spike_clusters.npy has no such cluster'):
            read_cluster_ids(folder)

    def test_neither_is_refused(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', clusters=None)
        with pytest.raises(UserError, match='has neither cluster_info.tsv nor spike_clusters.npy'):
            read_cluster_ids(folder)

    @pytest.mark.parametrize(
        ('table', 'message'),
        [
            (b'', 'expected a column cluster_id or id'),
            (b'cluster_id,group\n5,good\n', 'expected a column cluster_id or id'),
            (b'group\tcluster_id\ngood\t5\nmua\n', "line 3, cluster_id '': expected a whole number"),
            (b'id\n5\n-1\n', "line 3, id '-1': expected a whole number"),
            (b'id\n5.0\n', "line 2, id '5.0': expected a whole number"),
            (b'id\n\xff\n', 'is not a table with tabs'),
            (b'id\n' + b'5' * 200_000 + b'\n', 'is not a table with tabs'),
            (b'id\n' + b'5' * 5_000 + b'\n', 'expected a whole number'),
        ],
    )
    def test_broken_table_is_one_line(self, table, message, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', clusters=None, table='')
        (folder / 'cluster_info.tsv').write_bytes(table)
        with pytest.raises(UserError, match=message) as error:
            read_cluster_ids(folder)
        assert str(error.value).startswith(str(folder / 'cluster_info.tsv'))

    @pytest.mark.parametrize('array', [np.zeros(3), np.zeros((2, 2), int), np.array(['a']), np.array([5], object)])
    def test_array_that_holds_no_clusters_is_refused(self, array, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', clusters=None)
        np.save(folder / 'spike_clusters.npy', array, allow_pickle=True)
        with pytest.raises(UserError, match='spike_clusters.npy'):
            read_cluster_ids(folder)

    def test_pickle_is_not_loaded(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', clusters=None)
        opened = tmp_path / 'opened'
        (folder / 'spike_clusters.npy').write_bytes(b'cbuiltins\nopen\n(V' + str(opened).encode() + b'\nVw\ntR.')
        with pytest.raises(UserError, match='is not a whole .npy file'):
            read_cluster_ids(folder)
        assert not opened.exists()

    def test_no_broken_byte_is_a_traceback(self, tmp_path):
        folder = make_phy_folder(tmp_path / 'phy', clusters=[5, 17] * 20)
        path = folder / 'spike_clusters.npy'
        whole = path.read_bytes()
        header = len(whole) - 4 * 40
        broken = [whole[:length] for length in (0, 3, 9, 60, header, len(whole) - 1)]
        broken += [
            whole[:at] + bytes([value]) + whole[at + 1 :] for at in range(header) for value in (0, 39, 40, 57, 255)
        ]
        refused = 0
        for content in broken:
            path.write_bytes(content)
            try:
                read_cluster_ids(folder)
            except UserError:
                refused += 1
        assert refused > len(broken) / 4
