"""The engine of Thaw: data, networks, training, runs. Never imports streamlit or ui."""
