import csv

from tests.support.classified_cells import make_cell
from trainer.classify.phy_export import export_phy


def test_rows_are_clusters_in_the_order_of_the_cells(tmp_path):
    cells = [make_cell('B#2', 'B#2.abf', verdict='NSER', p_ser=0.125), make_cell('A#1', 'A#1.abf')]
    path = export_phy(tmp_path, cells)
    assert path == tmp_path / 'cluster_sero.tsv'
    # As phylib reads it: csv with tabs.
    with open(path, newline='') as file:
        rows = list(csv.DictReader(file, delimiter='\t'))
    assert [row['cluster_id'] for row in rows] == ['0', '1']
    assert [row['sero'] for row in rows] == ['NSER', 'SER']
    assert [row['cell'] for row in rows] == ['B#2', 'A#1']
    assert float(rows[0]['p_ser']) == 0.125
    assert path.read_text().startswith('cluster_id\tsero\t')
    assert list(tmp_path.iterdir()) == [path]


def test_no_cells_leave_a_header(tmp_path):
    assert export_phy(tmp_path, []).read_text() == 'cluster_id\tsero\tp_ser\tp_ser_low\tp_ser_high\tcell\n'
